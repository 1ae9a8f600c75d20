"""Names of things that a model may be asked for without knowing them: anatomy, findings, devices, and words made up.

A model that has met only names it knows takes every word for one of them. Here are enough others that it learns to
repeat what it was asked for and to say that it is not seen. None is a synonym of a thing that data sets label often.
"""

from __future__ import annotations

import random

from medsight_core.data.texts import lines

_COMMON: tuple[str, ...] = tuple(
    name
    for line in """
        pancreas, duodenum, jejunum, ileum, caecum, appendix, colon, sigmoid colon, rectum, oesophagus, small bowel
        prostate, seminal vesicles, uterus, cervix, left ovary, right ovary, testis, epididymis, urethra, placenta
        left adrenal gland, right adrenal gland, adrenal gland, left ureter, right ureter, urinary bladder, renal pelvis
        inferior vena cava, superior vena cava, portal vein, hepatic veins, splenic artery, renal artery, iliac artery
        pulmonary artery, pulmonary veins, carotid artery, jugular vein, coronary arteries, femoral vein, basilar artery
        heart, left atrium, right atrium, mitral valve, aortic valve, tricuspid valve, pericardium, myocardium
        trachea, left main bronchus, right main bronchus, bronchi, diaphragm, mediastinum, thymus, pleura
        thyroid gland, parathyroid gland, parotid gland, submandibular gland, larynx, epiglottis, vocal cords, tonsils
        tongue, mandible, maxilla, hyoid bone, hard palate, nasal septum, maxillary sinus, frontal sinus, mastoid
        left eye, right eye, lens, retina, cornea, optic nerve, optic chiasm, lacrimal gland, cochlea, ear canal
        pituitary gland, pineal gland, corpus callosum, insula, fornix, internal capsule, red nucleus, choroid plexus
        falx, tentorium, sagittal sinus, cavernous sinus, circle of willis, trigeminal nerve, facial nerve
        spinal cord, cauda equina, intervertebral disc, sacrum, coccyx, sternum, clavicle, scapula, humerus, radius
        ulna, carpal bones, femur, left femur, right femur, femoral head, acetabulum, tibia, fibula, patella, talus
        calcaneus, metatarsals, left hip, right hip, knee joint, ankle joint, shoulder joint, elbow, wrist, thumb
        meniscus, anterior cruciate ligament, achilles tendon, rotator cuff, psoas muscle, deltoid muscle
        gluteus maximus, trapezius, pectoral muscle, breast, nipple, axilla, umbilicus, omentum, mesentery, peritoneum
        lymph node, lymph nodes, bone marrow, growth plate, tooth, teeth, wisdom tooth, fingernail, hair follicle
        meningioma, glioblastoma, astrocytoma, vestibular schwannoma, metastases, lymphoma, sarcoma, melanoma
        aneurysm, haematoma, subdural haematoma, haemorrhage, infarct, thrombus, embolism, stenosis, dissection
        abscess, pneumonia, pneumothorax, consolidation, atelectasis, emphysema, fibrosis, bronchiectasis, oedema
        fracture, rib fracture, hip fracture, dislocation, disc herniation, scoliosis, osteophytes, gallstones
        kidney stone, hydronephrosis, ascites, free air, hernia, diverticulum, polyp, ulcer, varices, cirrhosis
        calcification, granuloma, goitre, fistula, haemangioma, lipoma, adenoma, teratoma, endometriosis, fibroid
        hydrocephalus, midline shift, demyelination, plaque, cataract, glaucoma, otitis, sinusitis, appendicitis
        catheter, pacemaker, stent, drain, tracheal tube, feeding tube, surgical clips, hip prosthesis, dental implant
        windpipe, gullet, voice box, eyeballs, collarbone, shoulder blade, kneecap, shin bone, thigh bone, belly button
        womb, bowels, guts, eardrum, cheekbone, jaw, jawbone, breastbone, tailbone, heel bone, armpit, groin, earlobe
        adrenals, ureters, lymph glands, blood clot, food pipe, muscles, veins, arteries, nerves, tendons, discs
        fetus, umbilical cord, yolk sac, amniotic fluid, fetal heart, fetal femur, ovarian follicle
    """.strip().splitlines()
    for name in line.strip().split(", ")
)
UNKNOWN = (*_COMMON, *lines("unknown"))

_LIKE = (
    *("superior", "inferior", "anterior", "posterior", "medial", "lateral", "proximal", "distal", "deep", "common"),
    *("internal", "external", "middle", "first", "second", "third", "fifth", "great", "small", "main", "accessory"),
    *("left", "right", "left", "right", "upper", "lower", "ascending", "descending", "transverse", "oblique"),
)
_OF = (
    *("mesenteric artery", "mesenteric vein", "gluteal muscle", "cerebral artery", "cerebellar artery", "sinus"),
    *("phalanx", "metacarpal", "metatarsal", "meniscus", "ligament", "tendon", "condyle", "humerus", "tibia", "fibula"),
    *("colon", "duodenum", "bronchus", "oblique muscle", "rectus muscle", "saphenous vein", "jugular vein", "ovary"),
    *("iliac artery", "carotid artery", "subclavian artery", "temporal gyrus", "frontal gyrus", "parietal lobule"),
    *("temporal lobe", "frontal lobe", "occipital lobe", "cranial nerve", "peduncle", "colliculus", "capsule", "molar"),
    *(
        "turbinate",
        "orbit",
        "eyeball",
        "ear",
        "breast",
        "nipple",
        "clavicle",
        "scapula",
        "thigh",
        "calf",
        "hand",
        "foot",
    ),
    *(
        "adrenal",
        "ureter",
        "testicle",
        "hip",
        "knee",
        "ankle",
        "elbow",
        "wrist",
        "atrium",
        "auricle",
        "papillary muscle",
    ),
)
_STARTS = ("ba", "cor", "del", "fi", "gan", "lu", "mor", "ner", "pel", "qui", "ris", "sta", "tor", "vas", "xi", "za")
_MIDDLES = ("", "thro", "cra", "my", "den", "glo", "tri", "se", "lo", "vi", "nu", "po")
_ENDS = ("ma", "rium", "lis", "dex", "oid", "ula", "tor", "gon", "nix", "bel", "phon", "dar")


def made_up(rng: random.Random) -> str:
    """Words for something that no table has: a part of the body that few label, or a name that means nothing."""
    if rng.random() < 0.5:
        return f"{rng.choice(_LIKE)} {rng.choice(_OF)}"
    noun = " ".join(
        rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS) for _ in range(rng.choice((1, 1, 1, 2)))
    )
    return rng.choice(("", "", "", "left ", "right ")) + noun
