"""How people ask for outlines: sentences with room for names. Plain data.

``{x}`` stands for one or several things, ``{be}`` for its verb, ``{a}`` and ``{b}`` for two that are compared. None of
them tells whether a thing is there, so that nothing but the picture can.
"""

from __future__ import annotations

# An opening turn announces what is coming and says nothing about the picture (model-spec 5).
OPENING = (
    ("I have a picture for you and some questions about what it shows.", "Ready."),
    ("Let us go through this image step by step.", "Yes, go ahead."),
    ("Please help me outline structures in the attached image.", "Of course. What should I outline?"),
    ("I will ask you about this scan now.", "I am ready."),
    ("Have a look at this image first. Questions follow.", "I have it. What would you like to know?"),
    ("We need some outlines for this case.", "Tell me which ones."),
    ("Here is a slice that I would like to discuss.", "Go ahead."),
    ("Can we look at this one together?", "Yes. What are you looking for?"),
)
OUTLINE = (
    "Outline {x}.",
    "Outline {x}",
    "Segment {x}.",
    "Please segment {x}.",
    "Delineate {x}.",
    "Mark {x}.",
    "Mark {x} for me, please.",
    "Show me {x}.",
    "Highlight {x}.",
    "Draw a contour around {x}.",
    "Trace {x}.",
    "Can you outline {x}?",
    "Could you segment {x} in this image?",
    "I need {x} outlined.",
    "Give me a mask of {x}.",
    "I am looking for {x}.",
    "Identify {x} and draw it.",
    "Contour {x} on this slice.",
    "{x}, please.",
    "{x}",
)
CHECK = (
    "{be} {x} visible?",
    "Do you see {x}?",
    "Can you see {x} here?",
    "Does this image show {x}?",
    "{be} {x} in this picture? If so, outline that.",
    "Tell me whether {x} can be seen.",
    "Check for {x}.",
    "{be} {x} shown on this slice?",
    "Any sign of {x}?",
    "Could you check whether {x} {be} there?",
)
LOCATE = (
    "Where {be} {x}?",
    "In which part of the picture {be} {x}?",
    "Where in the picture do you see {x}?",
    "On which side of the picture {be} {x}?",
    "Locate {x} and tell me the place.",
)
FOLLOW_UP = (
    "And {x}?",
    "What about {x}?",
    "Now {x}.",
    "Then {x}, please.",
    "Also {x}.",
    "Do the same for {x}.",
)
SIZE = (
    "Which is larger in this picture, {a} or {b}?",
    "Compare the sizes of {a} and {b}.",
    "Outline {a} and {b}. Which one covers more of the picture?",
    "{a} or {b}: which is larger here?",
)
SIDE = (
    "Is {a} to the left of {b} in the picture?",
    "In this picture, is {a} farther left than {b}?",
    "Outline {a} and {b}. Is {a} on the left of {b} as the picture shows them?",
)
FINDINGS = (
    "Outline anything abnormal.",
    "Which abnormality do you find, and where?",
    "What is your diagnosis, and where is it?",
    "Segment the pathological findings, please.",
    "Describe and outline any abnormality.",
    "Mark whatever is not normal here.",
)
EVERYTHING = (
    "Outline everything you recognise.",
    "Segment all structures that you can see.",
    "What can you outline here?",
    "Label all that is visible.",
    "Which structures does this slice show? Outline them.",
)
