"""Other words and slips become canonical names; everything else stays as it is."""

import random
import time

import pytest

from medsight_core.data import small_talk
from medsight_core.data.spoken import expand
from medsight_core.engine.others import OTHERS
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
SAGITTAL = ("kidney", "lung", "thalamus", "liver")  # where nobody can tell sides

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
    (CT, "rihgt kidney", "right kidney"),
    (CT, "the rigth lung and the letf kidney", "the right lung and the left kidney"),
    (CT, "right sided lung", "right lung"),
    (CT, "rt.lung", "right lung"),
    (CT, "rt lung", "right lung"),
    (CT, "left-hand lung", "left lung"),
    (CT, "right hand side lung", "right lung"),
    (CT, "kidney, left", "left kidney"),
    (CT, "kidney: left", "left kidney"),
    (CT, "kidney_left", "left kidney"),
    (CT, "kidney [left]", "left kidney"),
    (CT, "kidney, right, and liver", "right kidney, and liver"),
    (CT, "kidney, left and lung, right", "left kidney and right lung"),
    (CT, "kidney left lung right", "left kidney right lung"),
    (CT, "kidney, left lung", "left kidney and right kidney, left lung"),
    (CT, "kidney, left and right lung", "left kidney and right kidney, left lung and right lung"),
    (CT, "renal dexter / ren sinister", "right kidney / left kidney"),
    (CT, "left lung and kidney", "left lung and left kidney"),
    (CT, "left lung and hepar", "left lung and liver"),
    (CT, "left lung and the kidney", "left lung and the left kidney and right kidney"),
    (CT, "left lung and kidneys", "left lung and left kidney and right kidney"),
    (CT, "lung and kidney on the left", "left lung and left kidney"),
    (CT, "L/R kidney", "left kidney and right kidney"),
    (CT, "l & r lungs", "left lung and right lung"),
    (CT, "left enlarged kidney", "enlarged left kidney"),
    (CT, "kidney on the left of the patient", "left kidney of the patient"),
    (CT, "lung in the right hemithorax", "right lung"),
    (CT, "outline the kidney right now", "outline the left kidney and right kidney right now"),
    (CT, "This is the kidney, right?", "This is the left kidney and right kidney, right?"),
    (CT, "Where is the kidney?", "Where are the left kidney and right kidney?"),
    (CT, "Outline each kidney.", "Outline left kidney and right kidney."),
    (CT, "Is each kidney visible?", "Are left kidney and right kidney visible?"),
    (CT, "Is there a nodule in either lung?", "Is there a nodule in left lung or right lung?"),
    (CT, "neither kidney is enlarged", "neither left kidney nor right kidney is enlarged"),
    (CT, "both of the kidneys", "left kidney and right kidney"),
    (CT, "either of the lungs", "left lung or right lung"),
    (CT, "Tell me where the kidney is", "Tell me where the left kidney and right kidney are"),
    (CT, "kidney on both sides", "left kidney and right kidney"),
    (CT, "where r the kidneys", "where r the left kidney and right kidney"),
    (CT, "rightkidny", "right kidney"),
    (CT, "kidny stone", "kidney stone"),
    (CT, "lft kidney stone", "left kidney stone"),
    (CT, "a effusion in the left lung", "a pleural effusion in the left lung"),
    (CT, "lumber spine", "lumbar spine"),
    (CT, "lumbar?", "lumbar spine?"),
    (CT, "cervical, thoracic and lumbar spine", "cervical spine, thoracic spine and lumbar spine"),
    (CT, "shull or scull", "skull or skull"),
    (CT, "trunk", "body"),
    (CT, "the kidneys' neighbours: livr, splen", "the left kidney and right kidney' neighbours: liver, spleen"),
    (MR, "brain-stem", "brainstem"),
    (MR, "third and fourth ventricles", "third ventricle and fourth ventricle"),
    (MR, "left white and gray matter", "left cerebral white matter and left cerebral cortex"),
    (MR, "cortex of the left hemisphere", "left cerebral cortex"),
    (MR, "thalamus in the left hemisphere", "left thalamus"),
    (MR, "caudate and putamen on the right", "right caudate nucleus and right putamen"),
    (MR, "left putamen, caudate and pallidum", "left putamen, left caudate nucleus and left pallidum"),
    (MR, "putamen, caudate & pallidum on the right", "right putamen, right caudate nucleus & right pallidum"),
    (MR, "head of the left caudate nucleus", "head of the left caudate nucleus"),
    (MR, "head of the caudate nucleus on the left", "left caudate nucleus"),
    (CT, "left lung, kidney and liver", "left lung, left kidney and right kidney and liver"),
    (CT, "lung, kidney", "left lung and right lung, left kidney and right kidney"),
    (CT, "lumber vertebrae", "lumbar spine"),
    (MR, "the left cerebral and cerebellar cortex", "the left cerebral cortex and left cerebellar cortex"),
    (MR, "amygdalas, thalamuses", "left amygdala and right amygdala, left thalamus and right thalamus"),
    (MR, "tumors", "tumour"),
    (MR, "nuclei caudati", "left caudate nucleus and right caudate nucleus"),
    (SAGITTAL, "Outline both kidneys.", "Outline the kidney."),
    (SAGITTAL, "the left and right lung", "the lung"),
    (SAGITTAL, "rt. kidny", "right kidney"),
    (SAGITTAL, "each thalamus", "the thalamus"),
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
    (CT, ""),
    (MR, "hypothalamus?"),
    (MR, "subthalamic nucleus"),
    (MR, "parahippocampal gyrus"),
    (MR, "corpus callosum and fornix"),
    (MR, "cerebellar vermis"),
    (MR, "epidural haematoma"),
    (MR, "train of thought"),
    (MR, "Is the left thalamus larger than the right thalamus?"),
    (MR, "rumour has it"),
    (MR, "left kidney"),
    (("liver",), "kidneys and lungs"),
    (CT, "left lung and liver"),
    (CT, "is it the left or the right lung"),
    (CT, "On which side is the kidney?"),
    (CT, "which kidney is shown?"),
    (CT, "the other kidney"),
    (CT, "how many kidneys do you see?"),
    (CT, "only one kidney"),
    (CT, "the kidney on the left of the image"),
    (CT, "kidney left of the aorta"),
    (CT, "kidney to the right"),
    (CT, "kidney stone"),
    (CT, "lung cancer"),
    (CT, "lung window"),
    (CT, "kidney function"),
    (CT, "liver lesion"),
    (CT, "left kidney stone"),
    (CT, "rib fracture"),
    (CT, "kidney transplant"),
    (CT, "kidney-shaped"),
    (CT, "trunk muscles"),
    (CT, "5 gm contrast"),
    (CT, "pericardial effusion"),
    (CT, "joint effusion"),
    (CT, "effusion in the knee"),
    (CT, "main artery of the leg"),
    (CT, "trunk of the pulmonary artery"),
    (CT, "pulmonary trunk"),
    (CT, "the trunk of a tree"),
    (CT, "vertebral bodies"),
    (CT, "foreign bodies"),
    (CT, "lumbar puncture"),
    (CT, "lumbar disc"),
    (CT, "thoracic duct"),
    (CT, "rightfully left over, leftmost and righteous"),
    (CT, "let me lift the rights"),
    (CT, "nodules of the thyroid"),
    (CT, "2 liters, all lines"),
    (CT, "fetal skull"),
    (CT, "no left kidney but right"),
    (CT, "bring a crystal spline"),
    (CT, "Compare the left kidney with the right"),
    (CT, "urinary bladder"),
    (CT, "renal pelvis"),
    (MR, "renal cortex"),
    (MR, "adrenal cortex"),
    (MR, "bone cortex"),
    (MR, "motor cortex and frontal cortex"),
    (MR, "cortex of the kidney"),
    (MR, "deep grey matter"),
    (MR, "white matter of the spinal cord"),
    (MR, "5 gm contrast"),
    (MR, "amygdalin"),
    (MR, "csf"),
    (MR, "cerebrospinal fluid"),
    (MR, "spinal fluid"),
    (MR, "temporal horn"),
    (MR, "inferior horn of the lateral ventricle"),
    (MR, "left inferior lateral ventricle"),
    (MR, "pituitary tumors"),
    (MR, "liver lesions"),
    (MR, "cystic lesion"),
    (SAGITTAL, "left kidney"),
    (SAGITTAL, "the kidney stone"),
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


@pytest.mark.parametrize(("known", "question", "expected"), CHANGED)
def test_a_corrected_question_needs_no_more_correction(known, question, expected):
    assert canonical_question(expected, known) == expected


@pytest.mark.parametrize("known", [CT, MR])
def test_unknown_things_and_sentences_without_names_stay_as_they_are(known):
    rng = random.Random(0)
    sentences = [expand(sentence, rng) for sentence in small_talk.OFF_TOPIC for _ in range(5)]
    for rule in ("outline", "check", "locate", "follow", "other side", "findings", "everything", "describe", "view"):
        blank = [expand(f"<{rule}>", rng) for _ in range(100)]
        sentences += [each.format(x="it", y="it", n="it", a="it", be="is", it="it", side="left") for each in blank]
    sentences += [sentence for name in OTHERS for sentence in (f"Is there a {name}?", f"left {name}")]
    for sentence in sentences:
        assert canonical_question(sentence, known) == sentence


def test_a_question_is_corrected_at_once():
    question = "Pls outline the lft kidny, hepar and zorblaxium of this patinet, if possibel. " * 3
    canonical_question("Which?", CT)  # builds the lexicon
    start = time.perf_counter()
    for number in range(20):
        canonical_question(f"{question} {number}", CT)
    assert (time.perf_counter() - start) / 20 < 0.005
