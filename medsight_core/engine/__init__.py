"""A volume and words in, an answer out: see `medsight_core.engine.engine`."""
