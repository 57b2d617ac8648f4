"""`make evidence`: the pages of docs/security that say which test shows what."""
