"""Steps, keys and the store; nothing here knows that tickets exist."""
