"""What a language model is told, and that nothing but what the labels support is taken from it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from coded_builders import CODES, SIDE, coded_image, coded_images

from medsight_core.data.converse_by_model import ModelAuthor, ReplyError, parse_reply
from medsight_core.data.targets import targets_of
from medsight_core.errors import InputError, ServerError, ServerUnavailableError


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return coded_images(tmp_path_factory.mktemp("coded"))


@pytest.fixture
def shown(images):
    """The targets aorta, left kidney, liver, right kidney, spleen, tumour, in this order."""
    return targets_of(next(image for image in images if len(image.masks) == len(CODES)))


def reply(*turns: tuple[str, str], shown=()) -> str:
    return json.dumps({"turns": [{"question": q, "answer": a} for q, a in turns], "shown": list(shown)})


def obedient(messages) -> str:
    """What a good language model replies to the description in the messages."""
    asked = json.loads(messages[1]["content"])
    turns = [(f"Mark the {t['name']}.", f"The {t['name']} {t['code']} is outlined.") for t in asked["shown"][:2]]
    if asked["missing"]:
        turns.append(("Anything else?", f"The {' and the '.join(asked['missing'])} are not seen."))
    return f"Here it is:\n```json\n{reply(*turns, shown=range(min(2, len(asked['shown']))))}\n```"


def test_a_good_reply_becomes_a_conversation(images):
    author = ModelAuthor(images, obedient, seed=0)
    lacking = 0
    for image in images:
        for number in range(10):
            conversation = author.write(image, number)
            if conversation is None:
                continue
            codes = {target.masks: target.code for target in targets_of(image)}
            assert tuple(codes[masks] for masks in conversation.masks) == conversation.codes
            assert conversation.images == (image.path,)
            assert conversation.id == f"{image.id}-{number}"
            lacking += "not seen" in conversation.turns[-1].answer
    assert 0.35 < lacking / (10 * len(images)) < 0.65


def test_the_model_is_told_names_codes_and_boxes_and_no_more(images):
    heard = []
    image = next(image for image in images if len(image.masks) == 4 and image.masks[0].name == "liver")
    author = ModelAuthor(images, lambda messages: heard.append(messages) or obedient(messages), seed=0)
    for number in range(6):
        author.write(image, number)
    text = json.dumps(heard)
    assert image.path.name not in text
    assert str(image.path.parent) not in text
    assert image.id not in text
    assert not any(mask.id in text or mask.path.name in text for mask in image.masks)
    told = json.loads(heard[0][1]["content"])["shown"]
    liver = next(target for target in told if target["name"] == "liver")
    assert liver["code"] == "[M0_16]"
    assert liver["box"] == pytest.approx([2 / SIDE, 4 / SIDE, 14 / SIDE, 20 / SIDE], abs=1e-3)
    missing = [json.loads(messages[1]["content"])["missing"] for messages in heard]
    assert any(missing)
    assert not all(missing)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I would rather not.", "It holds no JSON object"),
        ('{"turns": [}', "It is not valid JSON"),
        ('{"turns": "none", "shown": []}', '"turns" is not a list of objects'),
        ('{"turns": [], "shown": []}', "It has 0 turns, and 1 to 4 are allowed"),
        (reply(*[("Hello?", "Yes?")] * 5), "It has 5 turns"),
        ('{"turns": [{"question": "Hm?"}], "shown": []}', "A question or answer is missing, empty or longer than 600"),
        (reply(("Hm?", "x" * 601)), "longer than 600"),
        (reply(("Hm?", "Yes.")), "No answer marks anything"),
        (reply(("Where is [M0_16]?", "Here.")), "A question holds a square bracket"),
        (reply(("Hm?", "The liver [1] is outlined.")), "An answer holds a square bracket that is no code's"),
        (reply(("Hm?", "The liver [M0_16] is outlined.")), 'hold 1 codes and "shown" 0 numbers'),
        (reply(("Hm?", "The liver is outlined."), shown=[2]), 'hold 0 codes and "shown" 1 numbers'),
        (reply(("Hm?", "The liver [M0_16] is outlined."), shown=[6]), "use each of the numbers 0 to 5 at most once"),
        (reply(("Hm?", "The liver [M0_16] is outlined."), shown=[True]), '"shown" is not a list of numbers'),
        (reply(("Hm?", "The liver [M0_16], the liver [M0_16]."), shown=[2, 2]), "at most once"),
        (
            reply(("Hm?", "The liver [M0_17] is outlined."), shown=[2]),
            r'Where "liver \[M0_17\]" stands, "liver \[M0_16\]" is due',
        ),
        (
            reply(("Hm?", "The liver [M0_7] and the spleen [M0_16] are outlined."), shown=[4, 2]),
            r'Where "liver \[M0_7\]" stands, "spleen \[M0_7\]" is due',
        ),
        (
            reply(("Hm?", "The liver [M0_16] is outlined. The spleen is not seen."), shown=[2]),
            r"call \['spleen'\] not seen, and it should be \[\]",
        ),
    ],
)
def test_a_reply_that_says_other_than_the_labels_is_refused(shown, text, reason):
    with pytest.raises(ReplyError, match=reason):
        parse_reply(text, shown, [])


def test_what_is_missing_must_be_asked_for(shown):
    with pytest.raises(ReplyError, match=r"call \[\] not seen, and it should be \['spleen'\]"):
        parse_reply(reply(("Hm?", "The liver [M0_16] is outlined."), shown=[2]), shown[:4], ["spleen"])


def test_codes_may_be_spread_over_turns_and_worded_freely(shown):
    text = reply(
        ("We will look at a scan.", "Ready."),
        ("Is there a tumour?", "Findings consistent with tumour, segmented as [M0_25]."),
        ("And the organs?", "Liver: [M0_16]; spleen: [M0_7]. No, the pancreas is not seen."),
        shown=[5, 2, 4],
    )
    turns, named = parse_reply(text, shown, ["pancreas"])
    assert len(turns) == 3
    assert [target.name for target in named] == ["tumour", "liver", "spleen"]


class Scripted:
    """Replies one after another; an error among them is raised."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)
        self.heard: list[list[dict[str, str]]] = []

    def __call__(self, messages):
        self.heard.append(messages)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply(messages) if callable(reply) else reply


def test_a_bad_reply_is_sent_back_with_the_reason_twice(images):
    model = Scripted("Nonsense.", ServerError("500"), obedient)
    assert ModelAuthor(images, model, 0).write(images[0], 0)
    assert [len(messages) for messages in model.heard] == [2, 4, 4]
    assert model.heard[1][2] == {"role": "assistant", "content": "Nonsense."}
    assert model.heard[1][3]["content"].startswith("This cannot be used: It holds no JSON object.")
    model = Scripted("No.", "No.", "No.", obedient)
    assert ModelAuthor(images, model, 0).write(images[0], 0) is None
    assert len(model.replies) == 1


def test_a_server_that_fails_again_and_again_ends_the_work(images):
    failures = [ServerError("It failed (HTTP 500).")] * 12
    author = ModelAuthor(images, Scripted(*failures, obedient, *failures, *failures[:3]), 0)
    for _ in range(4):
        assert author.write(images[0], 0) is None
    assert author.write(images[0], 0)  # an answer between gives it new patience
    for _ in range(4):
        assert author.write(images[0], 0) is None
    with pytest.raises(ServerError, match="HTTP 500"):
        author.write(images[0], 0)


@pytest.mark.parametrize("error", [ServerUnavailableError("Nobody."), InputError("Which model?")])
def test_other_errors_end_the_work_at_once(images, error):
    with pytest.raises(type(error)):
        ModelAuthor(images, Scripted(error), 0).write(images[0], 0)


def test_nothing_is_asked_where_there_is_nothing_to_ask_for(tmp_path):
    empty = coded_image(tmp_path / "ct", "a", ())
    assert ModelAuthor([empty], Scripted(), 0).write(empty, 0) is None


def test_an_image_with_more_masks_than_allowed_is_told_in_part(images):
    image = next(image for image in images if len(image.masks) == len(CODES))
    image = replace(image, masks=(*image.masks, replace(image.masks[0], name="spleen")))
    model = Scripted(obedient)
    assert ModelAuthor([image], model, 0).write(image, 0)
    told = json.loads(model.heard[0][1]["content"])["shown"]
    assert 4 <= len(told) <= 5
