"""What auditors and holders of reports take home: a verifier in one file, which needs Python and nothing else."""
