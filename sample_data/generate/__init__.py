"""Generated training images: what is where in them is known exactly, and the same seed makes the same bytes.

`sources` lists what there is, `study` turns it into labelled planes, `folders` writes them as BiomedParse does, and
`gallery` draws them for people. Below them `brain`, `head_ct`, `chest`, `chest_phantom`, `abdomen` and `fetal` each
make one kind of scan from labels or real images; `deform`, `contrast`, `findings` and `scan` are what they share.
"""
