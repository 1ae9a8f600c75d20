"""Pictures, reference masks and names of modalities."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.fixtures import mask, picture
from PIL import Image

from medsight_core.errors import InputError
from medsight_core.evaluation.cases import Case, modality_name, modality_order


def case(tmp_path, **fields):
    return Case("one", (tmp_path / "image.png",), "Outline it.", "", "outline", **fields)


def test_a_target_is_the_union_of_its_files(tmp_path):
    left, right = mask(tmp_path / "l.png", (0, 10, 0, 10)), mask(tmp_path / "r.png", (0, 10, 10, 30))
    targets = case(tmp_path, masks=((left,), (left, right))).references((40, 40))
    assert targets.shape == (2, 40, 40)
    assert targets.sum(axis=(1, 2)).tolist() == [100, 300]


def test_a_mask_of_ones_counts_only_where_the_benchmark_says_so(tmp_path):
    ones = mask(tmp_path / "ones.png", (0, 5, 0, 5), value=1)
    assert case(tmp_path, masks=((ones,),)).references((40, 40)).sum() == 0
    assert case(tmp_path, masks=((ones,),), grey_masks=False).references((40, 40)).sum() == 25


def test_a_mask_of_another_size_is_refused(tmp_path):
    path = mask(tmp_path / "m.png", None, 20, 30)
    with pytest.raises(InputError) as caught:
        case(tmp_path, masks=((path,),)).references((40, 50))
    assert str(caught.value) == f"'{path}' has 30 x 20 pixels and its image 50 x 40: make them equally large."


def test_a_16_bit_picture_is_refused_and_not_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(tmp_path / "image.png")
    with pytest.raises(InputError, match=r"has more than 8 bits a value \(mode I;16\): window it to 8 bits first"):
        case(tmp_path).pictures()


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA", "1"])
def test_8_bit_pictures_of_any_kind_are_read(tmp_path, mode):
    picture(tmp_path / "image.png", mode=mode)
    assert case(tmp_path).pictures()[0].mode in ("L", "RGB")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("X-Ray", "X-ray"), ("x_ray", "X-ray"), ("MR", "MRI"), ("MRI-FLAIR", "MRI"), ("ct_00", "CT"),
        ("Dermatoscopy", "Dermoscopy"), ("dermoscopy_00", "Dermoscopy"), ("Endoscope", "Endoscopy"),
        ("Optical Coherence Tomography", "OCT"), ("Histopathology", "Pathology"), ("ultrasound nerve", "Ultrasound"),
        ("Fundus Photography", "Fundus"), ("CTA-like", "CTA-like"), (" Colposcopy ", "Colposcopy"), ("", "unknown"),
    ],
)  # fmt: skip
def test_one_name_for_a_modality(text, name):
    assert modality_name(text) == name


def test_the_papers_columns_come_first():
    assert sorted(["PET", "Abdomen", "OCT", "CT", "MRI"], key=modality_order) == ["CT", "MRI", "OCT", "PET", "Abdomen"]
