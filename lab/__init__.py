"""The lab: real etcd and Kubernetes, a local AWS, and the operator as a child process.

The tests, the demo and the benchmark all stand on it. It knows the operator only from the outside.
"""
