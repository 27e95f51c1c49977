"""Extensions of users, tried for what the suite relies on."""
