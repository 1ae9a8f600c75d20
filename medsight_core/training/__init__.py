"""Training the five stages, and adapting to corrected masks.

stages.py run.py pipeline.py                           the stages as data, one of them, all of them
adapt.py                                               from corrected cases to another model, measured
taught_planes.py adapt_data.py adapt_task.py lora.py   what it learns from, as samples, towards what, and where
ask_cases.py                                           how good a model is when it is asked
"""
