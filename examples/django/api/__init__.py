"""An API whose callers show an access token of Keystead: Django and Django REST framework."""
