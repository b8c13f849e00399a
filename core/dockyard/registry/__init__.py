"""A small client for image registries: for what a build has to do there itself."""
