"""Space: volumes, planes and pictures in patient coordinates. Knows no model and no HTTP."""
