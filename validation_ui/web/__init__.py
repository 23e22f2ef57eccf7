"""The HTTP side: the app, its guard, the pages, the files and the API, every topic is a module with a router."""
