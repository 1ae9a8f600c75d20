"""The MedSIGHT model as pure tensors: configuration, tower, perceiver, codebook, projectors, processor."""

import logging

# transformers imports torchao where it is installed; what torchao and torch then say about GPUs helps nobody who asks.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
