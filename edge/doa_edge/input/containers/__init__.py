"""Files and streams of sound as they are written: headers, chunks, samples, and where they end."""
