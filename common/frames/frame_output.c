#include "frames/frame_output.h"

void frame_output_init(struct frame_output *o, int fd, const char *name, size_t pipe_size)
{
    *o = (struct frame_output){.sealed = 0};
    output_init(&o->out, fd, name, pipe_size);
}

void frame_output_close(struct frame_output *o)
{
    output_close(&o->out);
    o->sealed = 0;
}

int frame_output_try(struct frame_output *o, struct err *err)
{
    frame_output_seal(o);
    int rc = output_try(&o->out, err);
    o->sealed = o->out.buf.len; /* what has gone may have been taken out */
    return rc;
}

int frame_output_flush(struct frame_output *o, struct err *err)
{
    frame_output_seal(o);
    int rc = output_flush(&o->out, err);
    o->sealed = o->out.buf.len;
    return rc;
}
