"""Face datasets for facekit: CelebAMask-HQ, folders of photos with masks, and procedurally drawn faces."""
