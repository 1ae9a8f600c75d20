"""What a question asks for, in its own words, when nobody knows the thing: "mark the windpipe, please" -> "windpipe".

A small model may fail to repeat a word that it never met. What is left of a question without its ordinary words is that
thing. Plain words: no model, no image.
"""

from __future__ import annotations

import re

from medsight_core.engine.aliases import word_set

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")  # with what joins its parts
# Words of any question about any thing.
_ORDINARY = word_set("""
    a about actually again ago all also am an and annotate another any anybody anything appreciate are area aren't
    around as ask asked at back be been before being big bit both by can can't cannot case check cheers circle clear
    clearly colored colour coloured contour could couldn't ct delineate describe did do does don't draw each either
    else enlarged ever every evidence exactly find for from get give going good got grateful had has have he he's
    hello help her here hers hey hi highlight his how i i'd i'm i've if image images imaging in indicate inflamed
    inside instead intact interested into is isn't it it's its just kind kindly know label large let let's lets like
    little locate located look looking looks lying make many map mark mask masks may maybe me mean meant measure
    might more mri much my name need never new next nice nope normal not nothing now number of off ok okay on once
    one only oops or our out outline outlines overlay paint part patent patient patient's perhaps picture pictures
    plane planes please pls point position possible present question quick quickly rather really region report
    right-click same save scan scans see seen segment segmentation segmented shall she she's should show shown side
    sign signs since size slice slices small so some somebody someone something somewhere sorry still structure
    study sure ta take tell than thank thanks that that's the their them then there there's these they thing this
    those thx to today tomorrow too trace try up us using view views visible visualise volume want was way we well
    were what what's where where's whether which who why will with within without would wrong yes yesterday you your
""")


def is_ordinary(word: str) -> bool:
    """Whether a word, in small letters, may stand in a question about any thing."""
    return word.replace("’", "'") in _ORDINARY


def wished(question: str) -> str:
    """The longest run of words in a question that are not ordinary ones, in small letters; "" for none."""
    runs, last = [], None
    for match in WORD.finditer(question):
        if is_ordinary(match[0].lower()):
            last = None
        elif last is not None and question[last : match.start()].isspace():
            runs[-1] = (runs[-1][0], match.end())
            last = match.end()
        else:
            runs.append(match.span())
            last = match.end()
    return max((question[begin:end].lower() for begin, end in runs), key=len, default="")
