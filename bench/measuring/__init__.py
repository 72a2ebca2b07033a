"""What every row family uses: turns and table, load, programs, instances, data, statements."""
