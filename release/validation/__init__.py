"""The proof that preprod works: tests run, report read, record made."""
