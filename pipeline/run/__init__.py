"""How an annotation run is set up, goes and is resumed: settings, stages, Ray, and what run.json keeps."""
