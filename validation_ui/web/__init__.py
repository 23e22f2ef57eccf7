"""The HTTP side: the app, its guard, the pages, the files and the API, a module with a router for each topic."""
