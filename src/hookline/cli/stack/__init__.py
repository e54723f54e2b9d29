"""``hookline up --nodes 3``: etcd members and nodes as processes of one machine, started, watched and stopped."""
