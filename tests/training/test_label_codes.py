"""Codes of masks, and the names that codes turn out to have."""

from __future__ import annotations

from pathlib import Path

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.coded import CodedImage, CodedMask
from medsight_core.model.loading import load_model
from medsight_core.training.label_codes import label_codes, names_of_codes


def test_every_mask_gets_a_code_of_the_predicted_modality(phantoms, start_model):
    model, processor = load_model(start_model)
    images = BiomedParse(phantoms)[:5]
    seen = []
    coded = list(
        label_codes(model, processor, images, batch=2, progress=lambda done, count: seen.append((done, count)))
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    fitting = [image for image in images if len(image.masks) <= model.config.perceiver_config.num_queries]
    assert 0 < len(coded) == len(fitting)
    for image, labelled in zip(coded, fitting):
        assert (image.id, image.path, image.modality) == (labelled.id, labelled.path, labelled.modality)
        assert [mask.name for mask in image.masks] == [mask.name for mask in labelled.masks]
        assert len({mask.code.partition("_")[0] for mask in image.masks}) <= 1
    alone = list(label_codes(model, processor, images, batch=1))
    assert alone == coded


def test_a_code_takes_a_name_that_nearly_all_its_masks_have():
    def masks(*pairs):
        return tuple(CodedMask(str(i), Path("m.png"), name, code) for i, (name, code) in enumerate(pairs))

    images = [
        CodedImage("a", Path("a.png"), 0, masks(*[("liver", "M0_2")] * 8, ("spleen", "M0_10"))),
        CodedImage("b", Path("b.png"), 0, masks(("spleen", "M0_2"), ("stomach", "M0_10"))),
    ]
    assert names_of_codes(images) == {"M0_2": "liver"}
