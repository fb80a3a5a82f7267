"""A library to order: which of the generated sequences are made into DNA, beside which controls, in what oligos.

oligos: an insert between its adapters, and what is wrong with it. diversity: how different sequences are, and a choice
of different ones. barcodes: words that stay apart under errors. choose: designs and controls. order: the table of
oligos. guided: the choice by the guide oracle, the only module here that needs torch.
"""
