"""What is true of the shipped model whatever was measured: its purpose, its limits, what its images are.

Plain data, with no figure in it: figures are the examiner's, and numbers of images the training record's.
"""

from __future__ import annotations

from collections.abc import Mapping

NAME = "MedSIGHT small"
TASK = "Outline and name what a question in plain words asks for in a plane or a volume, or say that it is not seen"
DESCRIPTION = (
    "A small MedSIGHT (ICML 2026) that runs on two processor cores. It answers a question about a brain MR, a chest, "
    "abdominal or head CT, or a fetal ultrasound with a sentence, outlines what the sentence names, and tells what was "
    "asked for and not seen. It learned from generated images and a few real ones."
)
AUTHORS = "The MedSIGHT for 3D Slicer authors; the architecture is that of MedSIGHT's authors"
COPYRIGHT = "Copyright (c) 2026 the MedSIGHT for 3D Slicer authors"
TAGS = ("medical-imaging", "segmentation", "visual-question-answering", "monai-label", "3d-slicer")

INTENDED = (
    "Trying MedSIGHT for 3D Slicer without a GPU: every feature of server, client and module works with it.",
    "Testing that software, and measuring on known images how honest an answering model is.",
    "A start for teaching a small model one's own structures.",
)
MUST_NOT = (
    "Patients: no diagnosis, no treatment, no screening or triage, no measurement that anybody acts upon.",
    'Telling that nothing is there. "Not seen" says nothing about a patient.',
    "Disease. Every lesion, tumour, nodule, effusion and cyst that it learned was painted by a program.",
    "Images of another kind than those it was trained on: X-ray, PET, endoscopy, microscopy, photographs, limbs.",
    "Labels that others train on or publish, unless a person has corrected each of them.",
)
LIMITS = (
    "Images that look generated are what it knows best. Figures on generated images do not carry over to real ones.",
    "The two real brains and the real chest CT were trained on as changed copies, so figures on them tell how well it "
    "knows these images and not how it does on others.",
    "The abdomen was learned from drawn shapes only; no real abdomen is among the images.",
    "Held-out brains and heads are several images of few subjects. Intervals are over questions, so they are narrower "
    "than intervals over people would be.",
    "Nobody who made the rules for words has read the 395 free questions, but their score was looked at some eight "
    "times between variants, and those lists of several things that failed were read once to find a fault. Expect a "
    "little less on questions of your own.",
    "On sagittal planes nobody can tell the sides of a brain, and its names have none there.",
    "It looks at each plane by itself. In a volume, outlines of neighbouring planes need not fit together.",
    "Its language model has read generated sentences only. It knows no other subject, and little grammar.",
)

# What the images of each source are.
IMAGES: Mapping[str, str] = {
    "brain-maps": "painted in any contrast from label maps of people",
    "brain-mni": "a real average, reshaped",
    "brain-colin": "one real head, reshaped",
    "chest-ct": "one real chest, reshaped",
    "chest-maps": "the labels of that chest, painted anew",
    "chest-phantom": "drawn",
    "head-ct-cranium": "one real head, reshaped",
    "head-ct-maps": "painted from label maps of people",
    "fetal": "real ultrasound",
    "abdomen": "drawn",
}

# The figures that have a goal, by the examiner's names for them, in the order in which they are told.
GOALS = (
    "brain dice", "chest dice", "fetal dice", "real brain dice", "real chest dice", "swapped", "misnamed",
    "false masks", "accepted", "checks", "blank", "wording", "several",
    "loss by contrast", "loss by noise", "loss by thick slices", "calibration", "rank", "first answer", "second answer",
)  # fmt: skip

# What the examiner's images of each region of the body are.
SITES: Mapping[str, str] = {
    "brain": "brain MR, generated",
    "chest": "chest CT, drawn",
    "head": "head CT, generated",
    "abdomen": "abdominal CT, drawn",
    "fetal": "fetal ultrasound, real",
}
SITE_FIGURES = ("dice", "accepted", "false masks")

CONTROLS: Mapping[str, str] = {
    "as it is": "the model itself on the same planes",
    "codes shuffled": "each code's meaning replaced by another's: outlines must get lost",
    "presence check off": "everything counts as detected: absent things must be outlined",
    "names of another modality": "asked for what such an image cannot show: every mask is a false one",
}

REFERENCES = (
    "Chang et al. MedSIGHT: Towards Grounded Visual Comprehension in Medical Large Vision-Language Models. ICML 2026, "
    "arXiv 2606.06760.",
    "Billot et al. SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining. "
    "Medical Image Analysis 86 (2023) 102789.",
    "van den Heuvel et al. Automated measurement of fetal head circumference using 2D ultrasound images. PLoS ONE 13 "
    "(2018) e0200412.",
    "Fonov et al. Unbiased average age-appropriate atlases for pediatric studies. NeuroImage 54 (2011) 313-327.",
    "Holmes et al. Enhancement of MR images using registration for signal averaging. Journal of Computer Assisted "
    "Tomography 22 (1998) 324-333.",
    "Tzourio-Mazoyer et al. Automated anatomical labeling of activations in SPM. NeuroImage 15 (2002) 273-289.",
)
