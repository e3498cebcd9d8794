"""SPADE, CLADE and SEAN for facekit: the norms of the generator read the mask, and in SEAN a code for every region."""
