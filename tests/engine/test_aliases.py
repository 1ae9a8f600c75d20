"""The tables of words: each word once, with one meaning, written as words are compared."""

from medsight_core.engine.aliases import COMMON, PROTECTED, SIDE_OF, SIDED, SPELLINGS, SYNONYMS, UNDERSTOOD
from medsight_core.terminology import NAMES, split_side


def test_every_word_is_written_once_and_means_one_thing():
    words = [*SYNONYMS, *(UNDERSTOOD.keys() - SYNONYMS.keys()), *SIDED]
    words += [word for table in (SYNONYMS, UNDERSTOOD) for each in table.values() for word in each]
    assert len(words) == len(set(words)), sorted({word for word in words if words.count(word) > 1})


def test_words_are_for_things_of_the_terminology():
    meant = {*SYNONYMS, *UNDERSTOOD, *SIDED.values()}
    assert meant <= set(NAMES), meant - set(NAMES)
    assert COMMON.keys() <= {*NAMES, *(word for each in (*SYNONYMS.values(), *UNDERSTOOD.values()) for word in each)}
    assert {split_side(name)[0] for name in SIDED.values()} == set(SIDE_OF.values())


def test_words_are_in_small_letters_and_settled_spelling():
    words = [*PROTECTED, *SIDE_OF, *SPELLINGS, *SIDED]
    words += [word for table in (SYNONYMS, UNDERSTOOD) for each in table.values() for word in each]
    assert all(word == word.lower() for word in words)
    assert not SPELLINGS.keys() & {part for word in words if word not in SPELLINGS for part in word.split()}
