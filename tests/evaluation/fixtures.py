"""Every benchmark in its published format, with pictures of a few pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, rows: int = 40, cols: int = 40, seed: int = 0, mode: str = "L") -> Path:
    """A noisy picture with a bright square whose place depends on the seed."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 90, (rows, cols)).astype(np.uint8)
    top, left = rng.integers(0, rows // 2), rng.integers(0, cols // 2)
    values[top : top + rows // 3, left : left + cols // 3] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path)
    return path


def mask(path: Path, box: tuple[int, int, int, int] | None, rows: int = 40, cols: int = 40, value: int = 255) -> Path:
    """A mask of rows top to bottom and columns left to right, both half open; an empty one for None."""
    values = np.zeros((rows, cols), np.uint8)
    if box is not None:
        top, bottom, left, right = box
        values[top:bottom, left:right] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def vqa_rad(root: Path) -> Path:
    """Four test questions, two closed, and one of the training set."""
    for number in range(3):
        picture(root / "VQA_RAD Image Folder" / f"synpic{number}.png", 40, 52, seed=number)
    common = {"qid_linked_id": "x", "image_case_url": "", "evaluation": "evaluated", "question_type": "PRES"}
    rows = [
        (0, "HEAD", "Is there a mass?", "No", "CLOSED ", "test_freeform", 0),
        (1, "CHEST", "Is the heart enlarged?", "Yes", "CLOSED", "test_para", 1),
        (2, "CHEST", "What is seen in the left lung?", "pleural effusion", "OPEN", "test_freeform", 1),
        (3, "HEAD", "Training only?", "Yes", "CLOSED", "freeform", 0),
        (4, "ABD", "How many kidneys are seen?", 2, "OPEN", "test_freeform", 2),
    ]
    write(
        root / "VQA_RAD Dataset Public.json",
        [
            {
                **common,
                "qid": qid,
                "image_organ": organ,
                "image_name": f"synpic{image}.png",
                "question": question,
                "answer": answer,
                "answer_type": kind,
                "phrase_type": phrase,
            }
            for qid, organ, question, answer, kind, phrase, image in rows
        ],
    )
    return root


def slake(root: Path) -> Path:
    """An open and a closed English question, and a Chinese one."""
    picture(root / "imgs" / "xmlab7" / "source.jpg", seed=7, mode="RGB")
    common = {"img_id": 7, "img_name": "xmlab7/source.jpg", "location": "Lung", "base_type": "vqa"}
    write(
        root / "test.json",
        [
            {**common, "qid": 11, "q_lang": "en", "modality": "X-Ray", "answer_type": "OPEN",
             "question": "Which organ is abnormal?", "answer": "Lung"},
            {**common, "qid": 12, "q_lang": "zh", "modality": "X-Ray", "answer_type": "OPEN",
             "question": "?", "answer": "?"},
            {**common, "qid": 13, "q_lang": "en", "modality": "MRI", "answer_type": "CLOSED",
             "question": "Is this a healthy lung?", "answer": "No"},
        ],
    )  # fmt: skip
    return root


def pathvqa(root: Path) -> Path:
    """The export that the manual describes."""
    picture(root / "images" / "a.png", seed=1, mode="RGB")
    rows = [
        {"image": "images/a.png", "question": "What is shown?", "answer": "liver with cirrhosis"},
        {"image": "images/a.png", "question": "Is it malignant?", "answer": "no"},
    ]
    (root / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def omnimedvqa(root: Path) -> Path:
    """A file by modality, and one by data set that repeats its question."""
    picture(root / "Images" / "Chest" / "one.png", seed=1)
    picture(root / "Images" / "Chest" / "two.png", seed=2)
    first = {
        "dataset": "Chest", "question_id": "Chest_0001", "question_type": "Modality Recognition",
        "question": "What imaging is this?", "gt_answer": "X-ray", "image_path": "Images/Chest/one.png",
        "option_A": "CT", "option_B": "X-ray", "option_C": "MRI", "option_D": "Ultrasound", "modality_type": "X-Ray",
    }  # fmt: skip
    second = {**first, "question_id": "Chest_0002", "gt_answer": "Yes", "option_A": "Yes", "option_B": "No"}
    second = {**second, "image_path": "Images/Chest/two.png", "modality": second.pop("modality_type")}
    del second["option_C"], second["option_D"]
    folder = root / "QA_information" / "Open-access"
    write(folder / "Modality_X-Ray.json", [first, second])
    write(folder / "Chest.json", [first])
    return root


def mmmu_med(root: Path) -> Path:
    """A medical choice with two pictures, an open question, and a subject that is not medical."""
    for number in range(3):
        picture(root / "images" / f"{number}.png", seed=number, mode="RGB")
    common = {"explanation": "", "img_type": "['CT']", "subfield": "Radiology", "topic_difficulty": "Easy"}
    write(
        root / "validation.json",
        [
            {**common, "id": "validation_Clinical_Medicine_1", "question": "Compare <image 1> with <image 2>.",
             "options": "['Better', 'Worse', 'Same']", "answer": "B", "question_type": "multiple-choice",
             "image_1": "images/0.png", "image_2": "images/1.png", "image_3": None},
            {**common, "id": "validation_Pharmacy_2", "question": "Name the drug in <image 1>.", "options": "[]",
             "answer": "aspirin", "question_type": "open", "image_1": "images/2.png"},
            {**common, "id": "validation_Music_3", "question": "Which key?", "options": ["A", "B"], "answer": "A",
             "question_type": "multiple-choice", "image_1": "images/2.png"},
        ],
    )  # fmt: skip
    return root


def diagseg(root: Path) -> Path:
    """Three modalities; one question has a union as its last target, one has an empty target."""
    boxes = {1: (5, 20, 5, 20), 2: (22, 30, 22, 30), 3: (10, 30, 12, 34), 4: None}
    for number, box in boxes.items():
        mask(root / "masks" / f"{number}.png", box)
    for number in range(3):
        picture(root / "images" / f"{number}.png", seed=number)
    rows = [
        ("q1", 0, "Is there a tumour? Segment it.", "Yes", "CLOSED", [1, [1, 2]], "MRI"),
        ("q2", 1, "Which lesion is it? Segment it.", "pigmented lesion", "OPEN", [3], "Dermatoscopy"),
        ("q3", 2, "What does the slice show? Segment it.", "lung nodule", "OPEN", [4], "CT"),
    ]
    write(
        root / "diagseg.json",
        [
            {
                "qa_id": name,
                "question": question,
                "answer": f"{short}, segmented as <mask>.",
                "short_answer": short,
                "image_file": f"images/{image}.png",
                "mask_ids": ids,
                "masks": [[number, f"masks/{number}.png"] for number in boxes],
                "answer_type": kind,
                "modality": modality,
            }
            for name, image, question, short, kind, ids, modality in rows
        ],
    )
    return root


def mecovqa_g(root: Path) -> Path:
    """Masks of ones, as SA-Med2D stores some of them."""
    rows = []
    for number, modality in enumerate(("ct_00", "mr_t1")):
        name = f"{modality}--Set--case_{number}--x_0001.png"
        picture(root / "images" / name, 40, 60, seed=number)
        mask(root / "masks" / name.replace(".png", "--0001.png"), (5, 25, 20, 40), 40, 60, value=1)
        answer = f"<mask>masks/{name.replace('.png', '--0001.png')}</mask><SEG>"
        rows.append(
            {
                "image": f"images/{name}",
                "conversations": [
                    {"from": "human", "value": "<image>\nWhere is the liver?"},
                    {"from": "gpt", "value": answer},
                ],
            }
        )
    write(root / "MeCoVQA_Grounding_test.json", rows)
    return root


def biomedparse(root: Path) -> Path:
    """Two data sets; equal requests on several images, a target named by its sentence, and a picture that is wide."""
    targets = [
        ("amos", 1, "slice1_CT_abdomen", "slice1_CT_abdomen_liver", (5, 25, 5, 25)),
        ("amos", 2, "slice2_CT_abdomen", "slice2_CT_abdomen_liver", (8, 20, 10, 30)),
        ("amos", 3, "slice2_CT_abdomen", "slice2_CT_abdomen_right+kidney", (25, 35, 5, 15)),
        ("polyps", 1, "frame_Endoscope_colon", "frame_Endoscope_colon", (10, 30, 20, 40)),
    ]
    for dataset in ("amos", "polyps"):
        folder, annotations = root / dataset, []
        for seed, (_, number, image, target, box) in enumerate(t for t in targets if t[0] == dataset):
            cols = 60 if dataset == "polyps" else 40
            picture(folder / "test" / f"{image}.png", 40, cols, seed=seed)
            mask(folder / "test_mask" / f"{target}.png", box, 40, cols)
            annotations.append(
                {
                    "id": number,
                    "image_id": seed,
                    "file_name": f"{image}.png",
                    "mask_file": f"{target}.png",
                    "category_id": 1,
                    "sentences": [{"raw": "polyp in colon endoscope"}],
                }
            )
        write(folder / "test.json", {"images": [], "annotations": annotations, "categories": []})
    return root


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "diagseg": diagseg,
    "mecovqa-g": mecovqa_g,
    "vqa-rad": vqa_rad,
    "slake": slake,
    "pathvqa": pathvqa,
    "omnimedvqa": omnimedvqa,
    "mmmu-med": mmmu_med,
    "biomedparse": biomedparse,
}
