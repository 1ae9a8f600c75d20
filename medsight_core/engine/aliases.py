"""Other words for what can be outlined: synonyms, Latin, abbreviations, plurals, and a few descriptions. Plain data.

Canonical names are without sides. Nothing here may mean two things: "LV" is a ventricle of the heart to some.
"""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "cerebral white matter": (
        "white matter", "cerebral wm", "wm", "hemispheric white matter", "subcortical white matter",
        "substantia alba", "centrum semiovale",
    ),
    "cerebral cortex": (
        "cortex", "cortical grey matter", "cortical gray matter", "cortical ribbon", "grey matter", "gray matter",
        "cortex cerebri", "neocortex", "gm", "substantia grisea",
    ),
    "lateral ventricle": (
        "lateral cerebral ventricle", "ventriculus lateralis", "lat ventricle", "lat vent", "lateral vent",
        "ventriculi laterales",
    ),
    "cerebellar white matter": ("cerebellum white matter", "white matter of the cerebellum", "cerebellar wm"),
    "cerebellar cortex": (
        "cerebellum cortex", "cortex of the cerebellum", "cerebellar grey matter", "cerebellar gray matter",
        "cortex cerebelli", "cerebellar gm",
    ),
    "thalamus": ("thalami", "thalamic nuclei", "thal"),
    "caudate nucleus": (
        "caudate", "nucleus caudatus", "caudate nuclei", "nuclei caudati", "caudates", "caudatus", "nucl caudatus",
        "head of the caudate",
    ),
    "putamen": ("putamina", "putamens"),
    "pallidum": ("globus pallidus", "pallida", "globi pallidi", "pallidus"),
    "hippocampus": (
        "hippocampi", "hippocampal formation", "hippo", "hippos", "cornu ammonis", "hippocampuses",
    ),
    "amygdala": ("amygdalae", "amygdaloid body", "corpus amygdaloideum", "amygdaloid nucleus", "amygdalas"),
    "nucleus accumbens": ("accumbens", "nuclei accumbentes", "accumbens nucleus", "accumbens area", "nacc"),
    "ventral diencephalon": ("ventral dc", "diencephalon ventrale", "ventral dienc"),
    "third ventricle": ("3rd ventricle", "ventriculus tertius", "ventricle iii", "third vent", "3rd vent"),
    "fourth ventricle": ("4th ventricle", "ventriculus quartus", "ventricle iv", "fourth vent", "4th vent"),
    "brainstem": ("brain stem", "truncus encephali", "truncus cerebri", "stem of the brain"),
    "brain": ("cerebrum", "whole brain", "encephalon", "entire brain", "brain parenchyma"),
    "lesion": ("lesions", "white matter lesion", "white matter lesions", "focal lesion", "wml"),
    "tumour": (
        "tumor", "tumors", "tumours", "neoplasm", "neoplasms", "brain tumour", "brain tumor", "glioma",
        "space occupying lesion", "space-occupying lesion", "intracranial mass",
    ),
    "lung": (
        "lungs", "lung field", "lung fields", "pulmonary parenchyma", "lung parenchyma", "pulmo", "pulmones",
        "pulmonary field",
    ),
    "ribs": ("rib", "rib cage", "ribcage", "costae", "costal arches", "thoracic cage"),
    "cervical spine": (
        "c-spine", "c spine", "cspine", "cervical vertebrae", "cervical vertebral column", "neck vertebrae",
        "vertebrae cervicales", "cervical column",
    ),
    "thoracic spine": (
        "t-spine", "t spine", "tspine", "thoracic vertebrae", "dorsal spine", "thoracic vertebral column",
        "vertebrae thoracicae", "thoracic column", "dorsal vertebrae",
    ),
    "lumbar spine": (
        "l-spine", "l spine", "lspine", "lumbar vertebrae", "lumbar vertebral column", "vertebrae lumbales",
        "lumbar column",
    ),
    "body": ("body outline", "whole body", "body contour", "patient outline", "trunk"),
    "nodule": ("nodules", "lung nodule", "pulmonary nodule", "nodulus", "coin lesion", "lung nodules",
               "pulmonary nodules", "nodular opacity"),
    "pleural effusion": (
        "effusion", "effusions", "pleural fluid", "pleural effusions", "hydrothorax", "fluid in the pleural space",
        "fluid around the lung",
    ),
    "skull": ("cranium", "calvaria", "calvarium", "cranial bone", "cranial bones", "skull bone", "cranial vault",
              "bony skull"),
    "soft tissue": ("soft tissues", "soft parts"),
    "fetal head": (
        "foetal head", "head of the fetus", "head of the foetus", "fetus head", "foetus head", "caput fetale",
        "caput fetus", "baby's head", "babys head", "head of the baby", "fetal skull", "foetal skull", "fetal cranium",
        "unborn's head",
    ),
    "liver": ("hepar", "hepatic parenchyma", "hepatic tissue", "liver parenchyma"),
    "spleen": ("lien", "splen", "splenic parenchyma", "splenic tissue"),
    "kidney": ("kidneys", "ren", "renes", "renal parenchyma", "renal tissue", "nephros"),
    "aorta": ("abdominal aorta", "aortic lumen", "aorta abdominalis", "main artery", "largest artery"),
    "stomach": ("gaster", "ventriculus gastricus", "gastric lumen", "gastric body"),
    "gallbladder": ("gall bladder", "gb", "vesica fellea", "vesica biliaris", "cholecyst", "gall-bladder",
                    "bile bladder"),
    "liver lesion": (
        "hepatic lesion", "liver lesions", "hepatic lesions", "liver metastasis", "liver tumour", "liver tumor",
        "hepatic mass", "liver mass", "focal liver lesion", "lesion in the liver", "lesion of the liver",
    ),
    "kidney cyst": (
        "renal cyst", "kidney cysts", "renal cysts", "cyst in the kidney", "cyst of the kidney", "cystic renal lesion",
    ),
}  # fmt: skip

# Abbreviations that hold the side as well.
SIDED: dict[str, str] = {"lk": "left kidney", "rk": "right kidney"}

# Descriptions in place of a name; the words before and after them stay.
DESCRIPTIONS: dict[str, str] = {
    "organ that stores bile": "gallbladder",
    "organ that stores the bile": "gallbladder",
    "sac that stores bile": "gallbladder",
    "organ that holds bile": "gallbladder",
    "place where bile is stored": "gallbladder",
    "organ that filters blood": "kidney",
    "organ that makes urine": "kidney",
    "organs that make urine": "kidneys",
    "organ that produces urine": "kidney",
    "organ that makes bile": "liver",
    "organ that produces bile": "liver",
    "largest solid organ": "liver",
    "main artery of the belly": "aorta",
    "main artery of the abdomen": "aorta",
    "largest artery of the body": "aorta",
    "big vessel in front of the spine": "aorta",
    "organ that breathes": "lung",
    "organs we breathe with": "lungs",
    "air-filled organ": "lung",
    "air filled organ": "lung",
    "bone around the brain": "skull",
    "bones around the brain": "skull",
    "baby's skull": "fetal head",
    "vertebrae of the neck": "cervical spine",
    "neck part of the spine": "cervical spine",
    "vertebrae of the chest": "thoracic spine",
    "vertebrae of the lower back": "lumbar spine",
    "lower back vertebrae": "lumbar spine",
    "fluid between lung and chest wall": "pleural effusion",
    "fluid around the lungs": "pleural effusion",
    "fluid-filled space in the hemisphere": "lateral ventricle",
    "organ food goes to": "stomach",
    "organ that digests food": "stomach",
}

LEFT = ("left", "l", "lt", "lft", "sinister", "sinistra", "sinistrum", "left-sided", "leftsided", "lefthand")
RIGHT = ("right", "r", "rt", "rgt", "dexter", "dextra", "dextrum", "right-sided", "rightsided", "righthand")

# Ordinary words, and names of other things, that lie a slip away from a name and must stay what they are.
_NEIGHBOURS = """
abscess adrenal adrenals aneurysm aorta area areas arena artery ascites atrium aura bell belly below bile bill bladder
bodily body bony bore both bother bowel boy brain brains bran branch brand brawn breast bring bronchi bronchus brown
callosum callus candidate capital capsule captive cause causes caution central cerebellum cervical cervix cingulate
claudication claustrum clavicle coccyx cochlea colon column columns context contour core corner corpus correct
cortical cortisol cover cuneus dental drain draw dura ear ears edema embolus epithalamus esophagus eye eyes facial
faecal falx fatal feature femur fetus find focal foetus fornix fort forth found four fourth fracture frontal fusiform
future garden general global globe grain gyrus had haematoma haemorrhage hand hands head heads heard heart hearts
hello help hematoma hemorrhage hepatic hernia hip hippie hippocampal hips humour hydrocephalus hypophysis hypothalamic
hypothalamus image images infarct insula issue issues kidding kind kinda kinder kindly kinds label labels larynx late
later lateral latter legion lessen lesson lessons lever levers limb limbic limbs lingual lining link links literal
literally live lived lively liven lives living long lounge loved lover lumbago lumber lunge lunges mammillary mandible
mark mask masks mastoid material matter matters mattress maxilla medulla meninges mental mesencephalon midbrain middle
model models module modules nerve nerves neutral nipple nodal node nodes noduli noodle nose number occipital oedema
oesophagus orbit orbits outline outlined outlining ovaries ovary pale pallid pancreas pancreatic parahippocampal
parietal peduncle pelvis penis pharynx picture pineal pituitary plain plan plane planes plate please plexus polyp pons
precuneus prostate pulmonary pulse pure purple putting rectal rectum region regions renal rental retinal rib ride
rides ridge ripe rise robe rumour sacral sacrum scan scans scapula scull seen segment segments series servical service
shell show shown shows sinus sinuses skill skills skin skulk sleep slice slices sliver small soft software space speak
special spell spend spent spice spike spin spinal spine spines spins spleen splendid splint split stem stenosis
sternum stick still stoma stomata stomp storm stormy story study subthalamic sulcus tectum tegmentum temporal
tentorium testis than thank thanks that there these third thirds this thoracic thorax those thrombus thumb thymus
thyroid timber tired tissue tongue tonsil total trace trachea train tumble ureter urethra urine uterus vagina valve
vein veins vental ventral ventricle ventricles vermis vertex vessel vessels vestibule visible visualise visualize
vocal volume vortex what when where which while white whole with within without write year years
"""
PROTECTED = frozenset(_NEIGHBOURS.split())
