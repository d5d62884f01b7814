// Nothing has been broken yet. A play here is named by its issue: `fn issue_12_what_was_broken()`.
