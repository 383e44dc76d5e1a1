"""Certificates for the examples that speak TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """PEM files: the server's, whom to trust for it, and somebody else."""

    server: Path
    ca: Path
    stranger: Path


def make_certificates(directory: Path) -> Certificates:
    files = Certificates(*(directory / name for name in ("server.pem", "ca.pem", "stranger.pem")))
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(files.server))
    authority.cert_pem.write_to_path(str(files.ca))
    trustme.CA().cert_pem.write_to_path(str(files.stranger))
    return files
