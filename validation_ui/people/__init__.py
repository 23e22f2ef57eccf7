"""Who may use the app: accounts, invites, roles, sessions and passwords."""
