//! Integration tests over everything; they are in `it/`.
