"""Codes of a batch: decoded together or alone, with rows of their own, from the projected codebook."""

from __future__ import annotations

import pytest
import torch
from tiny_model import TINY_PERCEIVER, tiny_model

from medsight_core.data.records import Conversation, Conversations, Turn
from medsight_core.errors import InputError
from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.datasets import ConversationDataset, collate_conversations
from medsight_core.training.task import freeze_all_but

TRAINABLE = ("language.", "text_to_image.")


@pytest.fixture
def batch_for(grounded):
    def make(processor, count: int = 4):
        data = ConversationDataset(Conversations(grounded), processor, 4000)
        with_codes = [i for i, record in enumerate(data.conversations) if len(record.codes) >= 2]
        return collate_conversations([data[i] for i in with_codes[:count]])

    return make


def test_codes_may_be_decoded_one_by_one(batch_for):
    model, processor = tiny_model(decode_jointly=False)
    task = ConversationTask(model, TRAINABLE, with_masks=True)
    batch = batch_for(processor)
    with torch.no_grad():
        hidden, patches = task._read(batch)
        masks = task._decode(hidden, patches, batch)
        where = model.is_code(batch["input_ids"]).nonzero()
        assert len(masks) == len(where) == len(batch["masks"])
        for (row, position), mask in zip(where.tolist(), masks):
            alone = model.decode(patches[row : row + 1], hidden[row : row + 1, position : position + 1])
            torch.testing.assert_close(mask, alone.masks[0, 0], atol=1e-4, rtol=0)


def test_a_batch_is_the_mean_of_its_conversations(batch_for):
    model, processor = tiny_model()
    task = ConversationTask(model, TRAINABLE, with_masks=True)
    with torch.no_grad():
        both = batch_for(processor, 2)
        totals = torch.tensor(task.count(both))
        together = task(totals=totals, **both)
        alone = []
        records = one_by_one(processor, batch_for)
        for single in records[:2]:
            alone.append(task(totals=totals, **single))
    for term in ("text", "dice", "entropy"):
        assert float(together[term]) == pytest.approx(sum(float(part[term]) for part in alone), rel=1e-4)


def test_conversations_may_count_alike(batch_for):
    model, processor = tiny_model()
    task = ConversationTask(model, TRAINABLE, with_masks=True, per_conversation=True)
    pair = batch_for(processor, 2)
    with torch.no_grad():
        together = task(totals=torch.tensor(task.count(pair)), **pair)
        alone = [task(totals=torch.tensor(task.count(one)), **one) for one in one_by_one(processor, batch_for)]
    for term in ("text", "dice", "entropy"):
        assert float(together[term]) == pytest.approx(sum(float(part[term]) for part in alone) / 2, rel=1e-4)


def test_words_alone_teach_nothing_where_only_image_tokens_learn(batch_for):
    model, processor = tiny_model()
    task = ConversationTask(model, ("image_to_text.",), with_masks=False)
    freeze_all_but(model, task.trainable)
    words = Conversation("w", (), (Turn("Hello?", "Hello."),))
    batch = collate_conversations([ConversationDataset([words], processor, 2000)[0]])
    task(totals=torch.tensor(task.count(batch)), **batch)["loss"].backward()
    assert not model.image_to_text[0].weight.grad.any()


def test_states_of_codes_learn_to_be_like_the_queries_of_what_they_stand_for():
    names = ("", "liver", "spleen", "aorta")
    perceiver = {**TINY_PERCEIVER, "class_queries": True}
    model, processor = tiny_model(perceiver_config=perceiver, class_names=names)
    task = ConversationTask(model, ("text_to_image.",), with_masks=False, query_weight=2.0)
    turns = (Turn("Outline all.", "The liver [M0_1], the heart [M0_2] and the aorta [M0_1]."),)
    told = Conversation("w", (), turns, ((), (), ()), ("M0_1", "M0_2", "M0_1"), ("liver", "heart", "aorta"))
    batch = collate_conversations([ConversationDataset([told], processor, 2000)[0]])
    assert batch["classes"].tolist() == [1, -1, 3], "the model has no class for a heart"
    assert task.count(batch)[3] == 2
    with torch.no_grad():  # a projector that knows nothing but zero
        model.text_to_image[2].weight.zero_()
        model.text_to_image[2].bias.zero_()
    parts = task(totals=torch.tensor(task.count(batch)), **batch)
    queries = model.perceiver.class_queries.detach()
    asked = queries[[1, 3]].square().sum(1).mean() / queries.square().sum(1).mean()
    assert float(parts["query"].detach()) == pytest.approx(2.0 * float(asked), rel=1e-5)
    parts["loss"].backward()
    assert model.text_to_image[2].bias.grad.any()
    assert model.perceiver.class_queries.grad is None, "the queries stay where they are"


def test_a_model_without_class_queries_cannot_teach_with_them():
    with pytest.raises(InputError, match=r"^query_weight is 1 and the model has no class queries: leave it 0\.$"):
        ConversationTask(tiny_model()[0], (), with_masks=True, query_weight=1.0)


def one_by_one(processor, batch_for):
    """The first conversations with codes, each a batch of its own."""
    both = [batch_for(processor, 1), batch_for(processor, 2)]
    first, pair = both
    length = int(pair["attention_mask"][1].sum())
    codes = len(pair["masks"]) - len(first["masks"])
    second = {
        "input_ids": pair["input_ids"][1:, :length],
        "labels": pair["labels"][1:, :length],
        "attention_mask": pair["attention_mask"][1:, :length],
        "pixel_values": pair["pixel_values"][1:],
        "image_counts": pair["image_counts"][1:],
        "masks": pair["masks"][-codes:],
        "classes": pair["classes"][-codes:],
    }
    return [first, second]


def test_only_the_codes_rows_learn_and_they_come_back(batch_for):
    model, processor = tiny_model()
    before = model.get_input_embeddings().weight.detach().clone()
    task = ConversationTask(model, ("text_to_image.",), with_masks=True, code_rows=True, code_outputs=True)
    freeze_all_but(model, task.trainable)
    task.start()
    batch = batch_for(processor)
    totals = torch.tensor(task.count(batch))
    plain = ConversationTask(model, TRAINABLE, with_masks=True)(totals=totals, **batch)
    loss = task(totals=totals, **batch)["loss"]
    assert float(loss) == pytest.approx(float(plain["loss"]), rel=1e-5)  # the rows start as the table's
    loss.backward()
    assert task.rows.inputs.grad.abs().sum() > 0
    assert task.rows.outputs.grad.abs().sum() > 0
    assert model.get_input_embeddings().weight.grad is None
    with torch.no_grad():
        task.rows.inputs.add_(1.0)
    task.finish()
    change = model.get_input_embeddings().weight - before
    torch.testing.assert_close(change[258:], torch.ones_like(change[258:]))
    assert not change[:258].any()


def test_codes_begin_as_the_projected_codebook_and_queries_small():
    model, _ = tiny_model()
    last = model.text_to_image[2].weight.detach().clone()
    task = ConversationTask(model, TRAINABLE, with_masks=True, start_codes=True, query_scale=0.05)
    task.start()
    with torch.no_grad():
        expected = model.image_to_text(model.codebook.token_vectors())
    torch.testing.assert_close(model.get_input_embeddings().weight[258:], expected)
    torch.testing.assert_close(model.text_to_image[2].weight, 0.05 * last)


def test_recomputed_activations_change_nothing(batch_for):
    model, processor = tiny_model()
    task = ConversationTask(model, TRAINABLE, with_masks=True)
    batch = batch_for(processor)
    totals = torch.tensor(task.count(batch))
    task.train()
    plain = task(totals=totals, **batch)["loss"]
    task.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    again = task(totals=totals, **batch)["loss"]
    assert float(plain) == pytest.approx(float(again), rel=1e-6)
    again.backward()
    assert model.text_to_image[0].weight.grad.abs().sum() > 0
