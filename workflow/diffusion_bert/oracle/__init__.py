"""Oracles: small convolutional classifiers, trained in the workflow, that say what a sequence would do.

network: the classifier. fit: its training, one for all uses. oracle: the guide and the judge, trained apart, and what
they say of sequences. performance: how far to trust one. discriminate: can the same network tell sets apart.
"""
