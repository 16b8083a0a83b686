"""Evidence: the tree of events, its proofs and its signed checkpoints. Pure; specified in `backend/docs/audit-format.md`."""
