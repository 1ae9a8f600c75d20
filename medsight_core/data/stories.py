"""What people complain of, and which structure such a complaint means. Plain data.

They stand behind a person, "My mum ...", and before what is wanted of it, "... show me the part to blame".
"""

from __future__ import annotations

STORIES: dict[str, tuple[str, ...]] = {
    "hippocampus": (
        "cannot remember <names|what happened yesterday|anything new|where the keys are>",
        "has early <Alzheimer's|dementia>", "has memory problems", "is forgetting everything",
        "has seizures from the temporal lobe", "repeats the same questions", "gets lost on the way home",
        "failed the memory test",
    ),
    "amygdala": (
        "is afraid of everything", "has panic attacks", "feels no fear at all", "has an anxiety disorder",
        "panics easily", "cannot read fear in faces",
    ),
    "nucleus accumbens": (
        "is addicted to <gambling|drugs|cocaine>", "takes pleasure in nothing", "craves drugs",
        "has lost all motivation",
    ),
    "caudate nucleus": (
        "has Huntington's disease", "has chorea", "dances and jerks without wanting to", "carries the Huntington gene",
    ),
    "putamen": (
        "has Parkinson's disease", "is stiff and slow from parkinsonism", "had a bleed just under the insula",
    ),
    "pallidum": ("had carbon monoxide poisoning", "was poisoned by the stove", "gets an electrode for dystonia",),
    "thalamus": (
        "feels nothing on one half of the body", "has pain after a stroke of the relay nucleus",
        "lost feeling on one side",
    ),
    "brainstem": (
        "stopped breathing", "cannot swallow or move the eyes", "is locked in", "is in a coma and does not breathe",
        "might be brain dead",
    ),
    "cerebellar cortex": ("is wobbly and misses the cup",),
    "lateral ventricle": (
        "has hydrocephalus", "has too much water in the head", "has a shunt for fluid in the head",
        "walks badly and wets himself, maybe normal pressure hydrocephalus", "has big fluid spaces in the head",
    ),
    "third ventricle": ("has a colloid cyst in the midline", "has fluid between the thalami",),
    "fourth ventricle": ("has a blocked outlet behind the pons", "has fluid trapped behind the brainstem",),
    "lesion": (
        "has <MS|multiple sclerosis>", "was told there are white spots in the brain", "may have <MS|vascular disease>",
        "has plaques, the neurologist says", "has small vessel disease", "has migraine and some bright spots",
        "was told something lit up",
    ),
    "tumour": (
        "has <a brain cancer|a growth in the head|a mass in the head>", "is going to be operated on for a growth",
        "has headaches and vomits every morning", "had a first seizure, could be a growth",
        "has something growing in the head", "was told there is a mass", "will have it cut out by the neurosurgeon",
    ),
    "cerebral cortex": (
        "had the folds counted", "has thin grey matter, they say", "cannot speak since the outer layer was damaged",
    ),
    "cerebral white matter": ("has leukodystrophy", "has lost myelin", "has damaged nerve fibres in the hemispheres",),
    "brain": ("wants to see <his|her> own thinking organ", "needs a skull strip", "has an empty head, we joke",),
    "lung": (
        "has <asthma|COPD|pneumonia|emphysema>", "smokes two packs a day and coughs", "cannot breathe well",
        "is short of breath", "has bronchitis", "needs oxygen", "coughs all night", "was on a ventilator",
    ),
    "ribs": (
        "fell on the chest", "was kicked in the chest by a horse", "has pain when breathing in after a fall",
        "had chest compressions", "may have broken a bone of the chest", "was hit by the steering wheel",
    ),
    "cervical spine": (
        "has whiplash", "cannot turn the neck", "has a stiff neck after a car crash", "dived into shallow water",
        "has neck pain",
    ),
    "thoracic spine": (
        "has pain between the shoulder blades", "has a hunched upper back", "has a crushed vertebra behind the heart",
    ),
    "lumbar spine": (
        "has low back pain", "has lumbago", "has sciatica", "cannot lift boxes because of the lower back",
        "has a slipped disc low down",
    ),
    "nodule": (
        "has <smoked for 30 years|smoked all his life> and may have a spot",
        "was told there is a <spot|shadow> on the lung", "is in the lung cancer screening", "has a coin-shaped shadow",
        "may have early lung cancer", "needs a follow-up of a small round spot",
    ),
    "pleural effusion": (
        "has water <around the lung|on the lung|in the chest>", "is breathless because of fluid",
        "needs a chest drain", "will be tapped", "has heart failure and fluid in the chest",
        "was told there is fluid where it should not be",
    ),
    "skull": (
        "fell off a ladder and hit the head", "had a blow to the head", "was hit on the head by a bat",
        "may have cracked the head bone", "had a craniotomy", "fell down the stairs on the head",
    ),
    "soft tissue": ("has a swollen scalp", "has a bruise under the skin", "is all muscle and fat",),
    "fetal head": (
        "is pregnant and wants to see the baby's noggin", "wants to know the due date from the head size",
        "is 20 weeks pregnant and needs the circumference", "wants to see the little one's head",
        "asks how big the baby's skull is", "needs the HC and BPD",
    ),
    "liver": (
        "drinks too much", "has <cirrhosis|hepatitis|jaundice>", "is yellow all over", "took too much paracetamol",
        "has bad blood values from alcohol", "drinks a bottle a day", "has fatty disease from alcohol",
    ),
    "spleen": (
        "has <mononucleosis|glandular fever|malaria>", "fell on the left side and may bleed",
        "has a ruptured organ on the left after a bike crash", "has too few platelets",
        "has leukaemia and a big organ on the left",
    ),
    "kidney": (
        "is on dialysis", "cannot pass urine", "has flank pain", "wants to donate one", "has blood in the urine",
        "has a failing urine organ", "drinks a lot and pees a lot",
    ),
    "aorta": (
        "has an aneurysm", "has a pulsating belly", "may have a rupture of the big vessel", "has a wide main vessel",
        "has calcified big vessels", "was told to watch the big artery",
    ),
    "stomach": (
        "has heartburn", "has <gastritis|an ulcer>", "swallowed a coin", "ate too much", "is nauseous after meals",
        "just had lunch", "had a bypass to eat less",
    ),
    "gallbladder": (
        "has <colic|cramps> after <fatty|greasy> food", "has stones after fatty meals",
        "has pain under the right ribs after greasy meals", "needs a cholecystectomy", "has a positive Murphy sign",
        "has biliary colic",
    ),
    "liver lesion": (
        "has bowel cancer that may have spread to the liver", "has metastases in the liver",
        "was told there is a shadow in the liver", "has a spot in the liver",
    ),
    "kidney cyst": (
        "has a harmless bubble of fluid on the kidney", "has a watery spot on one kidney",
        "was told there is a fluid-filled bubble on a kidney",
    ),
}  # fmt: skip
