"""Makes the shared modules beside this file (`scripted_bundle`) importable from every test."""
