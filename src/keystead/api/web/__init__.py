"""Pages for people, which need no script: what mailed links lead to, and the mails of a development server."""
