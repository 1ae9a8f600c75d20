"""Conversations by templates say what the labels say, and never give away whether a thing is there."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from coded_builders import PLACES, coded_image, coded_images

from medsight_core.data import small_talk
from medsight_core.data.converse import conversation_id
from medsight_core.data.converse_by_template import TemplateAuthor, text_conversations
from medsight_core.data.records import parse_conversation, to_record
from medsight_core.data.targets import MOST_MASKS, Inventory, Series, targets_of
from medsight_core.engine.wording import absent_names, compose, find_codes, find_mentions
from medsight_core.errors import InputError

EACH = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Coded images, and some conversations about each."""
    images = coded_images(tmp_path_factory.mktemp("coded"))
    author = TemplateAuthor(images, seed=3)
    return images, [(image, author.write(image, number)) for image in images for number in range(EACH)]


def requests(conversations):
    """Each turn that asks for something, with its image."""
    for image, conversation in conversations:
        for turn in conversation.turns:
            if find_codes(turn.answer) or absent_names(turn.answer):
                yield image, turn


def test_codes_stand_behind_the_names_of_their_masks(data):
    for image, conversation in data[1]:
        mentions = [m for turn in conversation.turns for m in find_mentions(turn.answer, find_codes(turn.answer), {})]
        targets = {target.name: target for target in targets_of(image)}
        assert len({mention.name for mention in mentions}) == len(mentions)
        assert [mention.code for mention in mentions] == list(conversation.codes)
        assert [targets[mention.name].code for mention in mentions] == list(conversation.codes)
        assert tuple(targets[mention.name].masks for mention in mentions) == conversation.masks
        assert conversation.images == (image.path,)


def test_not_seen_is_said_of_exactly_what_was_asked_and_is_not_there(data):
    images, conversations = data
    inventory = Inventory(images)
    for image, turn in requests(conversations):
        assert set(absent_names(turn.answer)) <= set(inventory.absent(image))


def test_answers_survive_the_engine(data):
    """What is found stays as it is written; what is not found is called not seen."""
    for _, turn in requests(data[1]):
        mentions = find_mentions(turn.answer, find_codes(turn.answer), {})
        numbers = {mention.name: n for n, mention in enumerate(mentions, start=1)}
        stated = tuple(absent_names(turn.answer))
        found = compose(turn.answer, mentions, numbers)
        assert re.sub(r"\[\d+\]", "[]", found.text) == re.sub(r"\[M\d+_\d+\]", "[]", turn.answer)
        assert found.absent == stated
        assert set(found.spans) == set(numbers)
        assert set(compose(turn.answer, mentions, {}).absent) == {*numbers, *stated}


def test_half_of_the_requests_ask_for_something_absent(data):
    lacking = [bool(absent_names(turn.answer)) for _, turn in requests(data[1])]
    assert len(lacking) > 800
    assert 0.45 < sum(lacking) / len(lacking) < 0.55
    mixed = [turn for _, turn in requests(data[1]) if absent_names(turn.answer) and find_codes(turn.answer)]
    assert len(mixed) > 0.1 * sum(lacking)


def test_neither_a_name_nor_the_form_of_a_question_gives_the_answer_away(data):
    """Of all single questions about a thing, and of all of one form, about half are about something absent."""
    absent, asked = Counter(), Counter()
    for _, turn in requests(data[1]):
        names = [m.name for m in find_mentions(turn.answer, find_codes(turn.answer), {})] + absent_names(turn.answer)
        if len(names) > 1:
            continue
        question = turn.question.lower()
        form = next((word for word in ("outline", "where", "any", "mark") if word in question), "other")
        for key in (names[0], form):
            asked[key] += 1
            absent[key] += bool(absent_names(turn.answer))
    assert min(asked.values()) > 20
    for key, count in asked.items():
        assert 0.25 < absent[key] / count < 0.75, (key, absent[key], count)


def test_comparisons_and_places_are_those_of_the_masks(data):
    seen = set()
    for _, turn in requests(data[1]):
        names = [mention.name for mention in find_mentions(turn.answer, find_codes(turn.answer), {})]
        middle = {name: (PLACES[name][0] + PLACES[name][1]) / 2 for name in names}
        area = {name: (PLACES[name][1] - PLACES[name][0]) * (PLACES[name][3] - PLACES[name][2]) for name in names}
        if match := re.search(r"The ([a-z ]+) is larger\.$", turn.answer):
            seen.add("larger")
            assert match[1] == max(names, key=lambda name: area[name])
        if match := re.search(r"(Yes|No), the ([a-z ]+) is farther (left|right)\.$", turn.answer):
            seen.add(match[1])
            other = next(name for name in names if name != match[2])
            assert match[1] == ("Yes" if match[3] == "left" else "No")
            assert (middle[match[2]] < middle[other]) == (match[3] == "left")
            if match[2] in turn.question and other in turn.question:  # not a synonym, not mistyped
                seen.add("order")
                assert turn.question.index(match[2]) < turn.question.index(other)
        if match := re.search(r"outlined (on the left|on the right|in the middle) of the picture\.$", turn.answer):
            seen.add(match[1])
            side = middle[names[0]] < 0.42 * 32, middle[names[0]] > 0.58 * 32
            assert side == (match[1] == "on the left", match[1] == "on the right")
    assert seen == {"larger", "Yes", "No", "order", "on the left", "on the right", "in the middle"}


def test_conversations_are_as_long_as_the_paper_s_and_vary(data):
    lengths = Counter(len(conversation.turns) for _, conversation in data[1])
    assert set(lengths) == {1, 2, 3, 4}
    questions = {turn.question for _, turn in requests(data[1])}
    assert len(questions) > 0.7 * sum(lengths.values())
    openings = dict(small_talk.OPENING)
    for _, conversation in data[1]:
        first = conversation.turns[0]
        if len(conversation.turns) > 2:
            assert openings[first.question] == first.answer
    words = " ".join(turn.answer for _, turn in requests(data[1]))
    assert "Findings consistent with tumour, outlined as [M0_25]." in words


def test_a_conversation_outlines_five_masks_at_most(data):
    images = data[0]
    author = TemplateAuthor(images, seed=0)
    for organs in (5, 6):
        image = next(image for image in images if len(image.masks) == organs)
        counts = {len(author.write(image, number).codes) for number in range(200)}
        assert max(counts) == MOST_MASKS if organs == MOST_MASKS else max(counts) <= MOST_MASKS


def test_a_conversation_depends_on_seed_and_image_only(data):
    images, conversations = data
    shuffled = random.Random(0).sample(images, len(images))
    again = TemplateAuthor(shuffled, seed=3)
    for image, conversation in random.Random(1).sample(conversations, 40):
        assert again.write(image, int(conversation.id.rpartition("-")[2])) == conversation
    other = TemplateAuthor(images, seed=4)
    differing = [other.write(image, 0) != conversation for image, conversation in conversations[::EACH]]
    assert sum(differing) > len(differing) / 2


def test_records_are_read_back_whole(data):
    images, conversations = data
    root = images[0].path.parents[1]
    for image, conversation in conversations:
        assert parse_conversation(to_record(conversation, root), root) == conversation
        assert conversation.id.startswith(f"{image.id}-")


def test_several_masks_of_one_name_are_outlined_as_one(tmp_path):
    image = coded_image(tmp_path / "ct", "a", ("aorta", "spleen"), spellings={"aorta": "spleen"})
    conversation = TemplateAuthor([image], 0).write(image, 0)
    assert conversation.masks == (tuple(mask.path for mask in image.masks),)
    assert conversation.id == conversation_id(image, 0)


def test_there_is_nothing_to_say_about_a_series_without_names_or_with_too_many_masks(tmp_path):
    empty = coded_image(tmp_path / "ct", "a", ())
    assert TemplateAuthor([empty], 0).write(empty, 0) is None
    six = coded_image(tmp_path / "us", "b", tuple(PLACES))
    six = replace(six, masks=tuple(replace(mask, name="cyst") for mask in six.masks))
    assert TemplateAuthor([six], 0).write(six, 0) is None


BRAIN = Series("axial MR", {"left thalamus": "M1_4", "right thalamus": "M1_5", "brain": "M1_0", "lesion": "M1_9"})
TORSO = Series("coronal CT", {"liver": "M0_16", "left lung": "M0_2", "right lung": "M0_3"})


def test_text_conversations_have_codes_and_neither_images_nor_masks(tmp_path):
    conversations = list(text_conversations([BRAIN, TORSO], 60, seed=2, turns=(2, 5)))
    codes = {**BRAIN.codes, **TORSO.codes}
    listings = set()
    for number, conversation in enumerate(conversations):
        assert conversation.id == f"text-{number}"
        assert conversation.images == ()
        assert conversation.masks == ((),) * len(conversation.codes)
        line, _, question = conversation.turns[0].question.partition("\n")
        assert line.startswith(("Seen on this axial MR: ", "Seen on this coronal CT: "))
        assert question
        assert 2 <= len(conversation.turns) <= 6  # with an opening
        for turn in conversation.turns:
            for mention in find_mentions(turn.answer, find_codes(turn.answer), {}):
                assert codes[mention.name] == mention.code
                assert mention.name in line
        assert parse_conversation(to_record(conversation, tmp_path), tmp_path) == conversation
        listings.add(line)
    assert len(listings) > 12
    assert any("nothing known" in line for line in listings)
    assert conversations == list(text_conversations([BRAIN, TORSO], 60, seed=2, turns=(2, 5)))
    assert conversations != list(text_conversations([BRAIN, TORSO], 60, seed=3, turns=(2, 5)))


def test_a_range_of_turns_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="3 to 2 turns is no range: give the least, 1 or more, and then the most"):
        TemplateAuthor([], 0, turns=(3, 2))
    with pytest.raises(InputError, match="0 to 2 turns"):
        next(text_conversations([BRAIN], 1, 0, turns=(0, 2)))
    with pytest.raises(InputError, match="no labelled series"):
        next(text_conversations([], 1, 0))
