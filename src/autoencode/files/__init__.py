"""Files written whole or not at all, and JSON that tells when it was altered."""
