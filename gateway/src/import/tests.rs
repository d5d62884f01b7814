//! Whole configurations through the importer.
