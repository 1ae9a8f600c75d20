"""Other words for what can be outlined: synonyms, Latin, abbreviations and descriptions, each written once. Plain data.

Names are canonical ones without side, in the singular; plurals are in `plurals`. Nothing here may mean two things: "LV"
is a ventricle of the heart to some.
"""

from __future__ import annotations


def word_set(words: str) -> frozenset[str]:
    """A set of words that are written in one text."""
    return frozenset(words.split())


# What people may say for exactly that thing, one of it. Training questions use these words too.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "lung": ("lung field", "pulmonary parenchyma"),
    "ribs": ("rib cage", "costal arches"),
    "heart": ("cardiac silhouette",),
    "aorta": ("aortic lumen",),
    "liver": ("hepatic parenchyma", "hepatic tissue"),
    "spleen": ("splenic parenchyma", "splenic tissue"),
    "kidney": ("renal parenchyma", "renal tissue"),
    "stomach": ("gastric lumen",),
    "gallbladder": ("gall bladder",),
    "pancreas": ("pancreatic tissue",),
    "urinary bladder": ("bladder",),
    "brain": ("cerebrum", "whole brain"),
    "hippocampus": ("hippocampal formation",),
    "caudate nucleus": ("caudate", "nucleus caudatus"),
    "pallidum": ("globus pallidus",),
    "nucleus accumbens": ("accumbens",),
    "brainstem": ("brain stem", "truncus encephali"),
    "cerebrospinal fluid": ("csf", "spinal fluid"),
    "lateral ventricle": ("lateral cerebral ventricle", "ventriculus lateralis"),
    "inferior lateral ventricle": ("temporal horn", "inferior horn of the lateral ventricle"),
    "third ventricle": ("3rd ventricle", "ventriculus tertius"),
    "fourth ventricle": ("4th ventricle", "ventriculus quartus"),
    "tumour": ("neoplasm",),
    "nodule": ("nodular lesion", "small round lesion"),
    "cyst": ("cystic lesion", "fluid-filled lesion"),
    "liver lesion": ("hepatic lesion", "focal liver lesion"),
    "kidney cyst": ("renal cyst",),
    "pleural effusion": ("effusion", "pleural fluid"),
    "fetal head": ("fetus head",),
}

# What is understood beyond that: abbreviations, Latin that few use, narrower and looser words, descriptions.
UNDERSTOOD: dict[str, tuple[str, ...]] = {
    "cerebral white matter": (
        "white matter", "cerebral wm", "wm", "hemispheric white matter", "subcortical white matter",
        "substantia alba", "centrum semiovale", "substantia alba cerebri", "hemispheric wm",
        "medulla of the hemisphere",
    ),
    "cerebral cortex": (
        "cortex", "cortical grey matter", "cortical ribbon", "grey matter", "cerebral grey matter", "cortex cerebri",
        "neocortex", "substantia grisea", "cortex cerebralis", "substantia grisea cerebri", "cerebral gm",
        "cortical gm", "ctx",
    ),
    "lateral ventricle": (
        "lat ventricle", "lat vent", "lateral vent", "fluid-filled space in the hemisphere", "ventr lat",
        "ventriculus lat",
    ),
    "inferior lateral ventricle": (
        "inferior horn", "temporal horn of the lateral ventricle", "inferior lat vent", "inf lat vent",
        "cornu temporale", "cornu inferius",
    ),
    "cerebellar white matter": (
        "cerebellum white matter", "white matter of the cerebellum", "cerebellar wm", "corpus medullare cerebelli",
        "substantia alba cerebelli", "arbor vitae cerebelli", "arbor vitae",
    ),
    "cerebellar cortex": (
        "cerebellum cortex", "cortex of the cerebellum", "cerebellar grey matter", "cortex cerebelli",
        "cerebellar gm", "cortex cerebellaris", "substantia grisea cerebelli",
    ),
    "thalamus": ("thal", "thalamic nuclei", "thalamus opticus", "thalamus dorsalis",),
    "caudate nucleus": (
        "caudatus", "nucl caudatus", "head of the caudate", "head of the caudate nucleus", "nc caudatus",
        "nuc caudatus", "caput nuclei caudati", "nucl caud", "caud",
    ),
    "pallidum": ("pallidus", "gpi", "gpe", "nucleus pallidus", "paleostriatum",),
    "hippocampus": ("hippo", "cornu ammonis", "pes hippocampi", "hipp", "formatio hippocampi",),
    "amygdala": (
        "amygdaloid body", "corpus amygdaloideum", "amygdaloid nucleus", "nucleus amygdalae", "amygdaloideum", "amyg",
    ),
    "nucleus accumbens": (
        "accumbens nucleus", "accumbens area", "nuc accumbens", "nacc", "nucleus accumbens septi", "nac",
        "nucl accumbens", "accumb",
    ),
    "ventral diencephalon": (
        "ventral dc", "diencephalon ventrale", "ventral dienc", "vdc", "diencephalon ventralis", "regio subthalamica",
    ),
    "third ventricle": (
        "ventricle iii", "third vent", "3rd vent", "v3", "3v", "iii ventricle", "ventriculus iii", "iiird ventricle",
        "ventr iii",
    ),
    "fourth ventricle": (
        "ventricle iv", "fourth vent", "4th vent", "v4", "4v", "iv ventricle", "ventriculus iv", "forth ventricle",
        "ivth ventricle",
        "ventr iv",
    ),
    "brainstem": ("truncus cerebri", "stem of the brain", "truncus", "bs",),
    "brain": ("encephalon", "entire brain", "brain parenchyma",),
    "lesion": (
        "white matter lesion", "focal lesion", "wml", "brain lesion", "cerebral lesion", "laesio", "laesio cerebri",
        "wmh", "flair lesion", "focus laesionis",
    ),
    "tumour": (
        "brain tumour", "glioma", "space-occupying lesion", "intracranial mass", "neoplasma", "tumour cerebri", "gbm",
        "brain neoplasm", "tumour cerebralis",
    ),
    "lung": (
        "lung parenchyma", "pulmo", "pulmonary field", "organ that breathes", "organs we breathe with",
        "air-filled organ", "pulmonis",
    ),
    "ribs": ("rib", "ribcage", "costae", "thoracic cage", "costa", "cavea thoracis", "os costale",),
    "cervical spine": (
        "c-spine", "cspine", "cervical vertebrae", "cervical vertebral column", "neck vertebrae",
        "vertebrae cervicales", "cervical column", "vertebrae of the neck", "neck part of the spine",
        "columna cervicalis", "columna vertebralis cervicalis", "pars cervicalis columnae", "c1 to c7", "c1-c7",
    ),
    "thoracic spine": (
        "t-spine", "tspine", "thoracic vertebrae", "dorsal spine", "thoracic vertebral column",
        "vertebrae thoracicae", "thoracic column", "dorsal vertebrae", "vertebrae of the chest", "columna thoracica",
        "columna thoracalis", "columna vertebralis thoracica", "th-spine", "vertebrae thoracales", "t1 to t12",
        "t1-t12",
    ),
    "lumbar spine": (
        "l-spine", "lspine", "lumbar", "lumbar vertebrae", "lumbar vertebral column", "vertebrae lumbales",
        "lumbar column", "vertebrae of the lower back", "lower back vertebrae", "columna lumbalis",
        "columna lumbaris", "columna vertebralis lumbalis", "vertebrae lumbares", "l1 to l5", "l1-l5",
    ),
    "body": (
        "body outline", "whole body", "body contour", "patient outline", "trunk", "corpus humanum", "corpus totum",
    ),
    "nodule": (
        "lung nodule", "pulmonary nodule", "nodulus", "coin lesion", "nodular opacity", "nodulus pulmonis",
        "nodulus pulmonalis", "spn", "pulm nodule",
    ),
    "pleural effusion": (
        "hydrothorax", "fluid in the pleural space", "fluid around the lung", "fluid around the lungs",
        "fluid between lung and chest wall", "effusio pleuralis", "effusio pleurae", "pleural eff", "pl effusion",
    ),
    "skull": (
        "cranium", "calvaria", "calvarium", "cranial bone", "skull bone", "cranial vault", "bony skull",
        "bone around the brain", "bones around the brain", "ossa cranii", "neurocranium", "os cranii",
    ),
    "soft tissue": ("soft parts", "partes molles", "soft tissues", "textus molles",),
    "fetal head": (
        "head of the fetus", "caput fetale", "caput fetus", "baby's head", "babys head", "head of the baby",
        "fetal skull", "fetal cranium", "unborn's head", "baby's skull",
        "caput fetalis", "caput", "fetal calvarium",
    ),
    "liver": (
        "hepar", "liver parenchyma", "organ that makes bile", "organ that produces bile", "largest solid organ",
        "iecur", "jecur",
    ),
    "spleen": ("lien", "splen", "lienis",),
    "kidney": (
        "ren", "nephros", "organ that filters blood", "organ that makes urine", "organs that make urine",
        "organ that produces urine", "renis",
    ),
    "aorta": (
        "abdominal aorta", "aorta abdominalis", "main artery", "largest artery", "main artery of the belly",
        "main artery of the abdomen", "largest artery of the body", "big vessel in front of the spine", "abd aorta",
        "aort abd", "pars abdominalis aortae", "abdominal ao", "ao",
    ),
    "stomach": (
        "gaster", "ventriculus gastricus", "gastric body", "organ food goes to", "organ that digests food",
        "ventriculus", "gastrum",
    ),
    "gallbladder": (
        "gb", "gal bladder", "vesica fellea", "vesica biliaris", "cholecyst", "bile bladder",
        "organ that stores bile", "organ that stores the bile", "sac that stores bile", "organ that holds bile",
        "place where bile is stored", "vesicula fellea", "vesicula biliaris", "cholecystis",
    ),
    "liver lesion": (
        "liver metastasis", "liver tumour", "hepatic mass", "liver mass", "lesion in the liver",
        "lesion of the liver", "laesio hepatis", "fll", "hcc", "liver met", "hepatic met", "liver mets",
        "metastasis hepatis",
    ),
    "kidney cyst": (
        "cyst in the kidney", "cyst of the kidney", "cystic renal lesion", "cystis renalis", "cysta renalis",
        "cysta renis", "cystis renis",
    ),
}  # fmt: skip

# Words for what is the only thing of its kind in a view, and which mean another one elsewhere.
LOOSE: dict[str, tuple[str, ...]] = {"fetal head": ("head", "skull", "cranium", "calvarium", "cranial vault")}

# Words that hold the side as well.
SIDED: dict[str, str] = {
    "lk": "left kidney", "rk": "right kidney", "renal sinister": "left kidney", "renal dexter": "right kidney",
}  # fmt: skip

_LEFT = ("left", "l", "lt", "lft", "sinister", "sinistra", "sinistrum", "sin", "sinistr", "leftsided", "lefthand")
_RIGHT = ("right", "r", "rt", "rgt", "dexter", "dextra", "dextrum", "dx", "dext", "rightsided", "righthand")
SIDE_OF: dict[str, str] = {**dict.fromkeys(_LEFT, "left"), **dict.fromkeys(_RIGHT, "right")}

# Other spellings of a word in any name, and slips that are words themselves.
SPELLINGS: dict[str, str] = {
    "tumor": "tumour", "tumors": "tumours", "edema": "oedema", "hemorrhage": "haemorrhage", "gray": "grey",
    "foetal": "fetal", "foetus": "fetus", "lumber": "lumbar", "scull": "skull",
}  # fmt: skip

# Nouns that many things have or are, and of what they may be: "renal cortex" is no cortex of a brain, and "effusion of
# the knee" not the pleural one. Each is one of the names or of the other words for them.
_CEREBRAL = frozenset({"brain", "cerebrum", "head", "hemisphere", "hemispheres"})
_PLEURAL = frozenset({"lung", "lungs", "chest", "thorax", "pleura", "pleural", "hemithorax"})
_TRUNK = frozenset({"body", "abdomen", "belly", "trunk", "chest"})
COMMON: dict[str, frozenset[str]] = {
    "cortex": _CEREBRAL, "white matter": _CEREBRAL, "grey matter": _CEREBRAL, "effusion": _PLEURAL, "trunk": _TRUNK,
    "main artery": _TRUNK, "largest artery": _TRUNK, "body": _TRUNK, "lesion": _CEREBRAL, "tumour": _CEREBRAL,
    "nodule": _PLEURAL,
}  # fmt: skip
# What makes them something else when it stands before them; so do adjectives ("renal", "lenticular", "cardiac") but for
# those that fit anything.
FOREIGN = word_set("""
    ankle bone bowel breast cord deep ear elbow foreign heart hip joint kidney knee lens liver loose lymph motor nerve
    node ovary piriform sensory shoulder skin somatosensory thymus thyroid tree wrist
""")
FITTING = word_set("""
    abnormal actual additional axial bilateral clear coronal final focal minimal normal partial particular residual
    sagittal similar total trivial typical unilateral
""")

# A name before one of these only says of what it is: a "kidney stone" is no kidney.
HEADS = word_set("""
    abscess abscesses apex arteries artery base bases biopsy calculi calculus cancer cancers capsule carcinoma
    contusion cortex ct cyst cysts damage disease diseases doctor donor edema failure filter fracture fractures
    function graft head heads hilum infarct infection infections inflammation injuries injury laceration lesion
    lesions lobe lobes mass masses medulla metastases metastasis mri muscle muscles nodule nodules oedema pelvis
    removal sclerosis specialist stone stones surgery tail test tests transplant transplantation trauma tumor tumors
    tumour tumours ultrasound vein veins vessel vessels window windows
""")

# Adjectives that stand for a thing when no noun follows them.
ALONE = frozenset({"lumbar"})

# Ordinary words, and names of other things, that lie a slip away from a name or a side and must stay what they are.
PROTECTED = word_set("""
abound abscess accuses aches adrenal adrenals almonds ammonia ammonium amygdalin aneurysm aorta arched archer archers
area areas arena arterial artery ascites atrium aura babes badgers beaches beatles beliefs bell bellows belly below
berries bidders bile bill bladder blaster blazers blender bloody blooms blunder bodied bodily body bony bore both
bother bowel boy braid braids brain brains brainstorm brainstorming brainstorms bran branch brand brawn breached
breaches breadth breast breath breathed breather breathless breaths bring bronchi bronchus brown bruins bullied
bullies calabria callosum callus calvary candidate capital capsule captive carnival castles casts cause causes caution
central centred centres centric century cerebellum cervical cervix cheats chess cingulate claudication claustrum
clavicle cleft clerical coastal coccyx cochlea colon colours column columnist columns comical conical constable
constables context contexts contour cordial core corner corps corpus correct cortical cortisol costs costume costumes
cottage cottages cover critical cronies crucial crystal cuneus dental deter digested directs drain draw dura ear ears
edema embolus entice epithalamus esophagus eye eyes facial faecal falx fatal feature features fecal fellows female
females femur feral fetus fighters filed filler fillers filmed filtered find fingers focal focuses foetus folders
formative formats formulation formulations fornix fort forth fosters found four fourth fracture frontal fusiform
future futures gangsters garden gathers general global globe globes grain guineas gyrus had haematoma haemorrhage hand
hands head headers heads heals heaps heard hears heart hearts heats hello help hematoma hemorrhage hepatic hepatitis
herds heretic hernia hip hippie hippocampal hips humanism humour hydrocephalus hypophysis hypothalamic hypothalamus
image images infarct insula issue issues kidding kind kinda kinder kindly kindness kinds label labels largely larynx
late later lateral latter leftie lefty legion legions lent lesbians lessen lesson lessons lest let lets lever levers
liberal licence license licenses lift lifts limb limbic limbs linear liner liners lines lingual lining link links
liter literal literally liters litre litres live lived lively liven livery lives living loft lombard long longest
lounge loved lover lovers lumbago lunge lunges mammillary mandible manners mark markers martyrs mask masks master
masters mastery mastoid mater material mather matte matter mattered matters mattress maxilla medulla meninges mental
mesencephalon messes metastatic midbrain middle misses model models module modules moles mothers nephews nerve nerves
neutral nipple nodal node nodes noduli noodle noodles nose nuclear number occipital occurring oedema oesophagus
offline optical optics optimum optimus options orbit orbits outings outline outlined outlining outlying outside
ovaries ovary pale palladium pallid pancreas pancreatic parahippocampal parietal parted parties patent patents
patience patiently payment peduncle pelvis penis pharynx picture pineal pituitary plain plan plane planes plate please
plexus plural polyp pons precuneus produced producer producers product products prostate pulmonary pulse pure purple
putting quantum quarter quarters quartet realise realised realises realism realist realizes recalls recipes rectal
rectum refuses regimes region regions remixes renal rental rentals resides resists retinal retires revised rib ride
rides ridge rights righty ripe rise robe rumour sacral sacrum scan scans scapula scored scorers scores screens seen
segment segments sepsis septic series servical service shell shine shines shores show shown shows sine sinus sinuses
skill skills skin skulk sleep slice slices sliver small soft software sores space spaced spades spares speak special
spell spend spent spice spices spies spike spikes spin spinal spine spines spins spire spite spleen splendid spline
splines splint split spores stared stares stem stenosis sternum stick still stoked stoma stomata stomp stoned stones
store storey storied stories storm stormed storms stormy story stoves study substantial substantive subthalamic sulcus
swine systems tectum tegmentum temporal tentorium terminus testis texts than thank thanks that there these third
thirds this thoracic thorax those thrombus thumb thymus thyroid timber tired tissue tongue tonsil total trace trachea
train trucks tudor tumble tutor tutors ureter urethra urine uterus vagina valve vehicular vein veins venerable vental
ventral ventricle ventricles vermis vertex vessel vessels vestibule visible visualise visualize vocal volume vortex
what when where which while whine white whole with within without write year years
""")
