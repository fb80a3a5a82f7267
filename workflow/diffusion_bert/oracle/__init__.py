"""Oracles: small convolutional classifiers, trained in the workflow, that say what a sequence would do.

network: the classifier. fit: its training, one for all uses. oracle: the guide and the judge, trained apart, and what
the judge says of sets. folder: an oracle as it is kept, and what it says of sequences. performance: how far to trust
one. discriminate: can the same network tell sets apart.
"""
