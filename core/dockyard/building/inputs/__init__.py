"""What a build is made of: its context, its Dockerfile, and all that it is given beside them."""
