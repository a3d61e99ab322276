"""Many rollouts under SIGKILL at random moments: does each of them end as it should, and what did users notice?"""
