"""Other words and slips become canonical names; everything else stays as it is."""

import pytest

from medsight_core.engine.aliases import ALIASES, DESCRIPTIONS, PROTECTED, SIDED
from medsight_core.engine.spelling import canonical_question

CT = (
    "left kidney", "right kidney", "left lung", "right lung", "liver", "spleen", "aorta", "stomach", "gallbladder",
    "liver lesion", "kidney cyst", "ribs", "cervical spine", "thoracic spine", "lumbar spine", "nodule",
    "pleural effusion", "skull", "soft tissue", "body",
)  # fmt: skip
MR = (
    *(f"{side} {name}" for side in ("left", "right") for name in (
        "thalamus", "caudate nucleus", "putamen", "pallidum", "hippocampus", "amygdala", "nucleus accumbens",
        "lateral ventricle", "cerebral cortex", "cerebral white matter", "cerebellar cortex", "ventral diencephalon",
    )),
    "third ventricle", "fourth ventricle", "brainstem", "brain", "lesion", "tumour",
)  # fmt: skip

CHANGED = [
    (CT, "Pls outline the lft kidny and hepar", "Pls outline the left kidney and liver"),
    (CT, "both kidneys and the GB", "left kidney and right kidney and the gallbladder"),
    (CT, "the kidneys", "the left kidney and right kidney"),
    (CT, "kidney on the left", "left kidney"),
    (CT, "kidney on the left side, please", "left kidney, please"),
    (CT, "kidney (right)?", "right kidney?"),
    (CT, "lt. kidney", "left kidney"),
    (CT, "R lung", "right lung"),
    (CT, "rightkidney", "right kidney"),
    (CT, "right-sided kidney", "right kidney"),
    (CT, "RK please", "right kidney please"),
    (CT, "ren sinister", "left kidney"),
    (CT, "pulmo dexter", "right lung"),
    (CT, "lungs bilaterally", "left lung and right lung"),
    (CT, "left and right lung", "left lung and right lung"),
    (CT, "show the livr", "show the liver"),
    (CT, "splene", "spleen"),
    (CT, "stomache", "stomach"),
    (CT, "gall bladder", "gallbladder"),
    (CT, "galbladdr", "gallbladder"),
    (CT, "aotra", "aorta"),
    (CT, "renal cysts", "kidney cyst"),
    (CT, "hepatic lesion", "liver lesion"),
    (CT, "any pulmonary nodule", "any nodule"),
    (CT, "T-spine and L-spine", "thoracic spine and lumbar spine"),
    (CT, "rib cage", "ribs"),
    (CT, "cranium", "skull"),
    (CT, "effusion?", "pleural effusion?"),
    (CT, "what about the organ that stores bile", "what about the gallbladder"),
    (CT, "the main artery of the belly", "the aorta"),
    (CT, "the organ that filters blood on the left", "the left kidney"),
    (CT, "LEFT KIDNEY", "left kidney"),
    (MR, "the thalami", "the left thalamus and right thalamus"),
    (MR, "R hippo", "right hippocampus"),
    (MR, "nucleus caudatus dexter", "right caudate nucleus"),
    (MR, "left and right putamen", "left putamen and right putamen"),
    (MR, "right-sided amygdala", "right amygdala"),
    (MR, "hippocampuss left", "left hippocampus"),
    (MR, "latereal ventrcle R", "right lateral ventricle"),
    (MR, "3rd ventricle", "third ventricle"),
    (MR, "globus pallidus on the right", "right pallidum"),
    (MR, "is ther a tumor in the brian stem", "is ther a tumour in the brainstem"),
    (MR, "caudate on the left side and thalamus on the right", "left caudate nucleus and right thalamus"),
    (MR, "left gray matter", "left cerebral cortex"),
    (MR, "accumbens L", "left nucleus accumbens"),
    (("thalamus", "brain"), "the thalami", "the thalamus"),
    (("left kidney",), "both kidneys", "left kidney"),
]
KEPT = [
    (CT, "Is there a nodule in the right lung? Outline it."),
    (CT, "adrenal glands and pancreas"),
    (CT, "Where do patients live, long or short?"),
    (CT, "What is the river in the middle?"),
    (CT, "Is this a good lesson for students?"),
    (CT, "suprarenal gland"),
    (CT, "the bladder"),
    (CT, "module 3, noodle soup"),
    (CT, "spin the model"),
    (CT, "Everybody out"),
    (CT, "And the other one?"),
    (CT, "same on the left"),
    (CT, "Which side is larger?"),
    (CT, "What kind of image is this?"),
    (CT, "Thanks, that helps a lot!"),
    (CT, "renal artery"),
    (CT, "hilum of the lungfish"),
    (CT, "the heart and the uterus"),
    (CT, "spine"),
    (CT, ""),
    (MR, "hypothalamus?"),
    (MR, "subthalamic nucleus"),
    (MR, "parahippocampal gyrus"),
    (MR, "the ventricles"),
    (MR, "corpus callosum and fornix"),
    (MR, "cerebellar vermis"),
    (MR, "epidural haematoma"),
    (MR, "train of thought"),
    (MR, "Is the left thalamus larger than the right thalamus?"),
    (MR, "rumour has it"),
    (MR, "left kidney"),
    (("liver",), "kidneys and lungs"),
]


@pytest.mark.parametrize(("known", "question", "expected"), CHANGED)
def test_words_for_known_things_become_their_names(known, question, expected):
    assert canonical_question(question, known) == expected


@pytest.mark.parametrize(("known", "question"), KEPT)
def test_everything_else_stays_as_it_is(known, question):
    assert canonical_question(question, known) == question


@pytest.mark.parametrize("known", [CT, MR])
def test_canonical_names_mean_themselves(known):
    for name in known:
        assert canonical_question(f"Outline the {name}, please.", known) == f"Outline the {name}, please."
    assert canonical_question(canonical_question("both lungs, liver", known), known) == canonical_question(
        "both lungs, liver", known
    )


def test_no_word_means_two_things():
    meanings: dict[str, str] = {}
    for base, words in ALIASES.items():
        for word in (base, *words):
            assert meanings.setdefault(word.lower(), base) == base, word
            assert word == word.lower()
    assert set(DESCRIPTIONS.values()) <= {*ALIASES, "kidneys", "lungs"}
    assert {name.partition(" ")[2] for name in SIDED.values()} <= set(ALIASES)
    assert all(word == word.lower() for word in PROTECTED)
