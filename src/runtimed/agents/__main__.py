"""`python -m runtimed.agents` serves an agent, as `runt agent serve` does."""

from runtimed.agents.main import serve

if __name__ == "__main__":
    serve(prog_name="python -m runtimed.agents")
